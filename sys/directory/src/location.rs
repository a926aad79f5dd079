//! Where this installation has its users: a file, unless a control file
//! names a database server (virtual-domains.md §1.5, §4.1).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use run::{Home, Settings};
use settings::{Setting, users};

use crate::mysql::{Fallback, Server};
use crate::{BadServer, Error};

/// Bits of a file's mode that would let others read a password, or write.
const EXPOSING: u32 = 0o027;

/// Where the users are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A file of SQLite.
    File(PathBuf),
    /// A database server.
    Server(Server),
}

impl Location {
    /// Finds out from `MYSQL_HOST`, else `control/host.mysql`. A file that
    /// others can read is refused: there is a password in it.
    pub fn of(home: &Home, settings: &Settings) -> Result<Self, Error> {
        let line = text(settings, &users::HOST_MYSQL)?;
        if line.is_empty() {
            return Ok(Self::File(home.database()));
        }
        let path = home.control().join(users::HOST_MYSQL.file);
        if settings.variable(users::HOST_MYSQL.variable).is_none() {
            refuse_exposed(&path)?;
        }
        let fallback = Fallback {
            user: text(settings, &users::MYSQL_USER)?,
            password: text(settings, &users::MYSQL_PASSWD)?,
            socket_or_port: match text(settings, &users::MYSQL_SOCKET)? {
                socket if socket.is_empty() => text(settings, &users::MYSQL_VPORT)?,
                socket => socket,
            },
            database: text(settings, &users::MYSQL_DATABASE)?,
        };
        let bad = |source: BadServer| Error::Server {
            path: path.clone(),
            source,
        };
        let mut server = Server::parse(&line, &fallback).map_err(bad)?;
        let authorities = home.control().join(users::MYSQL_CA.file);
        server.authorities = authorities.exists().then_some(authorities);
        Ok(Self::Server(server))
    }
}

/// Which of the servers that the hosts of a cluster share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Central {
    /// The one that is asked (`CNTRL_HOST`, `control/host.cntrl`).
    Queries,
    /// The one that is changed (`MASTER_HOST`, `control/host.master`).
    Changes,
}

impl Central {
    /// The server; `None` when this host is in no cluster, or may not change
    /// it.
    pub fn server(self, home: &Home, settings: &Settings) -> Result<Option<Server>, Error> {
        let setting = match self {
            Self::Queries => &users::HOST_CNTRL,
            Self::Changes => &users::HOST_MASTER,
        };
        let line = text(settings, setting)?;
        if line.is_empty() {
            return Ok(None);
        }
        let path = home.control().join(setting.file);
        if settings.variable(setting.variable).is_none() {
            refuse_exposed(&path)?;
        }
        let fallback = Fallback {
            user: text(settings, &users::CNTRL_USER)?,
            password: text(settings, &users::CNTRL_PASSWD)?,
            socket_or_port: match text(settings, &users::CNTRL_SOCKET)? {
                socket if socket.is_empty() => text(settings, &users::CNTRL_VPORT)?,
                socket => socket,
            },
            database: text(settings, &users::CNTRL_DATABASE)?,
        };
        let mut server =
            Server::parse(&line, &fallback).map_err(|source| Error::Server { path, source })?;
        let authorities = home.control().join(users::MYSQL_CA.file);
        server.authorities = authorities.exists().then_some(authorities);
        Ok(Some(server))
    }
}

fn text(settings: &Settings, setting: &Setting) -> Result<String, Error> {
    let line = settings.line(setting).map_err(|error| Error::File {
        path: error.path,
        source: error.source,
    })?;
    let line = String::from_utf8_lossy(&line.unwrap_or_default()).into_owned();
    Ok(line.trim().to_owned())
}

fn refuse_exposed(path: &std::path::Path) -> Result<(), Error> {
    let file = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(file)?.permissions().mode();
    if mode & EXPOSING == 0 {
        return Ok(());
    }
    Err(file(io::Error::other(format!(
        "it holds a password and its mode {:o} lets others in; make it 640, \
         of root and group indimail",
        mode & 0o777
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(line: Option<&str>, mode: u32) -> Result<Location, Error> {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        if let Some(line) = line {
            let path = home.control().join("host.mysql");
            std::fs::write(&path, line).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        Location::of(&home, &Settings::of_files(&home))
    }

    #[test]
    fn without_a_word_it_is_a_file() {
        assert!(matches!(location(None, 0), Ok(Location::File(_))));
        assert!(matches!(location(Some("\n"), 0o640), Ok(Location::File(_))));
    }

    #[test]
    fn the_control_file_names_a_server_and_is_kept_secret() {
        let line = "db.example.com:joe:secret:3307:ssl\n";
        for mode in [0o600, 0o640, 0o440] {
            let found = location(Some(line), mode).unwrap();
            let Location::Server(server) = found else {
                panic!("{found:?}");
            };
            assert_eq!(
                server.to_string(),
                "mysql://joe@db.example.com:3307/indimail"
            );
        }
        for mode in [0o644, 0o660, 0o666] {
            let error = location(Some(line), mode).unwrap_err();
            assert!(error.is_temporary());
        }
        let error = location(Some("a b:c"), 0o600).unwrap_err();
        assert!(error.is_temporary(), "{error}");
    }
}
