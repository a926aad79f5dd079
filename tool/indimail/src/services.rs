//! The service directories of an installation (operations.md §2.6): what
//! runs, as whom, on which port, and where it logs.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use os::beneath::Directory;

use crate::install::{InstallError, accounts, file_error};
use crate::site::{Mode, Site};
use crate::status::SUPERVISION_LOG;

/// How a listener speaks TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    /// After STARTTLS.
    Upgrade,
    /// From the first byte.
    Implicit,
}

/// What a service does.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Listens on a port: program, standard port, TLS, further arguments.
    Listen(&'static str, u16, Tls, &'static str),
    /// Serves the rest of the system: the program and the name of its socket.
    /// Started by root it opens the socket, looks up who may ask, and becomes
    /// its user.
    Serve(&'static str, &'static str),
    /// Runs the queue; started as root to start others as others.
    Queue,
}

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Name of its directory.
    pub name: &'static str,
    /// Name of its log directory.
    pub log: &'static str,
    /// Its user in an installation with separate users.
    pub user: &'static str,
    /// What it does.
    pub task: Task,
}

const fn listen(
    name: &'static str,
    log: &'static str,
    user: &'static str,
    program: &'static str,
    port: u16,
    tls: Tls,
    arguments: &'static str,
) -> Service {
    Service {
        name,
        log,
        user,
        task: Task::Listen(program, port, tls, arguments),
    }
}

const fn serve(
    name: &'static str,
    user: &'static str,
    program: &'static str,
    socket: &'static str,
) -> Service {
    Service {
        name,
        log: name,
        user,
        task: Task::Serve(program, socket),
    }
}

/// The services of a default installation. What others depend on comes
/// first; nobody waits, whoever is early tries again.
pub const SERVICES: &[Service] = &[
    serve("trace", "qmaill", "tracelog", "trace"),
    serve("signer", "qcerts", "signer", "signer"),
    serve("inlookup.infifo", "indimail", "inlookup", "inlookup"),
    serve("qmail-queued", "qmailq", "qmail-queued", "queue"),
    serve("vdeliverd", "indimail", "vdeliverd", "deliver"),
    Service {
        name: "qmail-send.25",
        log: "deliver.25",
        user: "root",
        task: Task::Queue,
    },
    listen(
        "qmail-smtpd.25",
        "smtpd.25",
        "qmaild",
        "qmail-smtpd",
        25,
        Tls::Upgrade,
        "",
    ),
    listen(
        "qmail-smtpd.587",
        "smtpd.587",
        "qmaild",
        "qmail-smtpd",
        587,
        Tls::Upgrade,
        " --submission",
    ),
    listen(
        "qmail-smtpd.465",
        "smtpd.465",
        "qmaild",
        "qmail-smtpd",
        465,
        Tls::Implicit,
        " --submission",
    ),
    listen(
        "qmail-imapd.143",
        "imapd.143",
        "indimail",
        "imapd",
        143,
        Tls::Upgrade,
        "",
    ),
    listen(
        "qmail-imapd-ssl.993",
        "imapd-ssl.993",
        "indimail",
        "imapd",
        993,
        Tls::Implicit,
        "",
    ),
    listen(
        "qmail-pop3d.110",
        "pop3d.110",
        "indimail",
        "pop3d",
        110,
        Tls::Upgrade,
        "",
    ),
    listen(
        "qmail-pop3d-ssl.995",
        "pop3d-ssl.995",
        "indimail",
        "pop3d",
        995,
        Tls::Implicit,
        "",
    ),
];

impl Service {
    /// The standard port it listens on.
    pub fn standard_port(&self) -> Option<u16> {
        match self.task {
            Task::Listen(_, port, ..) => Some(port),
            Task::Serve(..) | Task::Queue => None,
        }
    }

    fn run_script(&self, site: &Site) -> String {
        let command = match self.task {
            Task::Listen(program, _, tls, arguments) => {
                let tls = if tls == Tls::Implicit {
                    "implicit"
                } else {
                    "starttls"
                };
                // Listeners bind their port as root and change user then.
                let user = match site.mode {
                    Mode::Separated => format!(" --user {}", self.user),
                    Mode::SingleUser => String::new(),
                };
                // Where there is IPv6, LOCALIP6 says on which address of it.
                format!(
                    "sh -c 'exec {program} --listen \"$LOCALIP:$PORT\" \
                     ${{LOCALIP6:+--listen \"[$LOCALIP6]:$PORT\"}} \
                     --tls {tls}{user}{arguments}'"
                )
            }
            Task::Serve(program, _) => program.to_owned(),
            Task::Queue => {
                "sh -c 'exec qmail-daemon \"$(cat \"$QMAILDIR/control/defaultdelivery\")\"'".into()
            }
        };
        script(site, &format!("exec envdir ./variables {command}"))
    }

    fn variables(&self, site: &Site) -> Vec<(&'static str, String)> {
        let root = site.home.root().display().to_string();
        let path = format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            site.home.bin().display()
        );
        let mut variables = vec![("QMAILDIR", root), ("PATH", path)];
        if let Some(port) = self.standard_port() {
            let six = if has_ipv6() { "::" } else { "" };
            variables.push(("LOCALIP", "0.0.0.0".to_owned()));
            variables.push(("LOCALIP6", six.to_owned()));
            variables.push(("PORT", site.port(port).to_string()));
        }
        variables.push(("DEFAULT_DOMAIN", site.domain.to_string()));
        variables
    }
}

/// Writes the directories of all services. Variables that exist stay as they
/// are, but for ports and places, which this installation decides.
pub fn create(site: &Site) -> Result<(), InstallError> {
    // What svscan and all supervises have to say.
    logger(site, &site.home.service().join(".svscan"), SUPERVISION_LOG)?;
    for service in SERVICES {
        let directory = site.home.service().join(service.name);
        let variables = directory.join("variables");
        fs::create_dir_all(&variables).map_err(file_error("create directory", &variables))?;
        for (name, value) in service.variables(site) {
            write(&variables.join(name), &format!("{value}\n"), 0o644)?;
        }
        logger(site, &directory, service.log)?;
        // Last: svscan may already be looking.
        write(&directory.join("run"), &service.run_script(site), 0o755)?;
    }
    Ok(())
}

/// Says whether this host knows IPv6.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// The logger of a service directory and where it writes.
fn logger(site: &Site, directory: &Path, name: &str) -> Result<(), InstallError> {
    let (service, log) = (directory.join("log"), site.home.log().join(name));
    for path in [&service, &log] {
        fs::create_dir_all(path).map_err(file_error("create directory", path))?;
    }
    let owner = accounts::identity(site.mode, "qmaill", "nofiles")?;
    Directory::open(&log)
        .and_then(|log| log.entry("")?.give(owner))
        .map_err(file_error("give away", &log))?;
    let as_user = match site.mode {
        Mode::Separated => "setuidgid qmaill ",
        Mode::SingleUser => "",
    };
    // Ten files of ten megabytes: a log never fills the disk.
    let command = format!("exec {as_user}multilog t s10485760 n10 {}", quoted(&log));
    write(&service.join("run"), &script(site, &command), 0o755)
}

fn script(site: &Site, command: &str) -> String {
    let bin = quoted(&site.home.bin());
    format!(
        "#!/bin/sh\n# Written by indimail quickstart.\nexec 2>&1\nPATH={bin}:$PATH\n{command}\n"
    )
}

fn write(path: &Path, content: &str, mode: u32) -> Result<(), InstallError> {
    let has_mode = fs::metadata(path).is_ok_and(|found| found.mode() & 0o7777 == mode);
    if has_mode && fs::read(path).is_ok_and(|found| found == content.as_bytes()) {
        return Ok(());
    }
    os::file::replace(path, content.as_bytes(), mode).map_err(file_error("write", path))
}

/// A path as one word of a shell script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_stays_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }

    #[test]
    fn every_service_has_a_directory_and_a_log_of_its_own() {
        let names: std::collections::BTreeSet<_> = SERVICES.iter().map(|s| s.name).collect();
        let logs: std::collections::BTreeSet<_> = SERVICES.iter().map(|s| s.log).collect();
        assert_eq!((names.len(), logs.len()), (SERVICES.len(), SERVICES.len()));
    }
}
