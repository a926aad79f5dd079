//! Where a database server is, and as whom we use it
//! (virtual-domains.md §4.1).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql::consts::CapabilityFlags;
use mysql::{Opts, OptsBuilder, SslOpts};

/// How long a server may take to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer or to listen.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements kept ready on a connection.
const STATEMENTS_MAX: usize = 64;
const PORT: u16 = 3306;
/// Where distributions have the socket of a server on this host.
const SOCKETS: [&str; 3] = [
    "/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
];
/// What every connection begins with. Times are UTC, whatever the host's
/// zone; what does not fit is refused, never cut.
const BEGINNING: [&str; 2] = [
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', \
     innodb_lock_wait_timeout = 15",
];

/// Is the connection encrypted?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tls {
    /// Yes, unless it stays on this host.
    #[default]
    WhenRemote,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// A server, a database on it, and an account.
#[derive(Clone, Eq, PartialEq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Socket on this host; it comes before the port.
    pub socket: Option<PathBuf>,
    /// TCP port.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// Name of the database.
    pub database: String,
    /// Is the connection encrypted?
    pub tls: Tls,
    /// Certificates of those who may have signed the server's, in PEM; else
    /// the public ones.
    pub authorities: Option<PathBuf>,
}

/// What fields that are left out default to.
#[derive(Clone, Debug, Default)]
pub struct Fallback {
    /// Account; else `indimail`.
    pub user: String,
    /// Its password; empty for none. There is no built-in one.
    pub password: String,
    /// Socket or port.
    pub socket_or_port: String,
    /// Name of the database; else `indimail`.
    pub database: String,
}

/// The text does not say where a server is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a database server is written host:user:password:socket-or-port:ssl|nossl, \
     or mysql://user:password@host:port/database; {0}"
)]
pub struct BadServer(pub &'static str);

impl Server {
    /// Reads `host[:user[:password[:socket-or-port[:ssl|nossl]]]]`.
    pub fn parse(line: &str, fallback: &Fallback) -> Result<Self, BadServer> {
        let line = line.trim();
        let mut fields = line.splitn(5, ':').map(str::trim);
        let mut next = |fallback: &str| -> String {
            let field = fields.next().filter(|field| !field.is_empty());
            field.unwrap_or(fallback).to_owned()
        };
        let host = next("");
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(BadServer("the host is missing or has a strange character"));
        }
        let user = next(if fallback.user.is_empty() {
            "indimail"
        } else {
            &fallback.user
        });
        let password = next(&fallback.password);
        let place = next(&fallback.socket_or_port);
        let tls = match next("").as_str() {
            "" => Tls::WhenRemote,
            "ssl" => Tls::Always,
            "nossl" => Tls::Never,
            _ => return Err(BadServer("the last field is neither ssl nor nossl")),
        };
        let (socket, port) = if place.starts_with(['/', '.']) {
            (Some(PathBuf::from(place)), PORT)
        } else if place.is_empty() {
            let usual = SOCKETS.iter().map(PathBuf::from).find(|path| path.exists());
            (usual.filter(|_| host == "localhost"), PORT)
        } else {
            let port = place
                .parse()
                .map_err(|_| BadServer("the fourth field is neither a path nor a port"))?;
            (None, port)
        };
        Ok(Self {
            host,
            socket,
            port,
            user,
            password: Some(password).filter(|password| !password.is_empty()),
            database: if fallback.database.is_empty() {
                "indimail".to_owned()
            } else {
                fallback.database.clone()
            },
            tls,
            authorities: None,
        })
    }

    /// Reads `mysql://user:password@host:port/database?socket=PATH`.
    pub fn from_url(url: &str) -> Result<Self, BadServer> {
        const BAD: BadServer = BadServer("the URL cannot be understood");
        let options = Opts::from_url(url).map_err(|_| BAD)?;
        let database = options.get_db_name().filter(|name| !name.is_empty());
        Ok(Self {
            host: options.get_ip_or_hostname().into_owned(),
            socket: options.get_socket().map(PathBuf::from),
            port: options.get_tcp_port(),
            user: options.get_user().unwrap_or("indimail").to_owned(),
            password: options.get_pass().map(str::to_owned),
            database: database.unwrap_or("indimail").to_owned(),
            tls: Tls::WhenRemote,
            authorities: None,
        })
    }

    /// The line that [`Server::parse`] reads.
    pub fn line(&self) -> String {
        let place = match &self.socket {
            Some(path) => path.display().to_string(),
            None => self.port.to_string(),
        };
        let password = self.password.as_deref().unwrap_or_default();
        let tls = match self.tls {
            Tls::WhenRemote => "",
            Tls::Always => ":ssl",
            Tls::Never => ":nossl",
        };
        format!("{}:{}:{password}:{place}{tls}", self.host, self.user)
    }

    /// Says whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        let local = self.socket.is_some()
            || matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        match self.tls {
            Tls::Always => self.socket.is_none(),
            Tls::Never => false,
            Tls::WhenRemote => !local,
        }
    }

    /// The TCP port that is connected to, if any.
    pub fn tcp_port(&self) -> Option<u16> {
        self.socket.is_none().then_some(self.port)
    }

    /// What the client library has to know.
    pub(super) fn options(&self, database: Option<&str>) -> OptsBuilder {
        let tls = self.is_encrypted().then(|| {
            let authorities = self.authorities.as_deref().map(Path::to_owned);
            SslOpts::default().with_root_cert_path(authorities)
        });
        let socket = self.socket.as_ref().map(|path| path.display().to_string());
        OptsBuilder::new()
            .ip_or_hostname(Some(self.host.clone()))
            .tcp_port(self.port)
            .socket(socket)
            .prefer_socket(false)
            .user(Some(self.user.clone()))
            .pass(self.password.clone())
            .db_name(database)
            .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
            .read_timeout(Some(ANSWER_TIMEOUT))
            .write_timeout(Some(ANSWER_TIMEOUT))
            .stmt_cache_size(STATEMENTS_MAX)
            .init(BEGINNING.map(str::to_owned).to_vec())
            // "How many rows matched", as the other database counts.
            .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
            .ssl_opts(tls)
    }
}

/// Without the password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}@{}", self.user, self.host)?;
        if let Some(port) = self.tcp_port() {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.database)
    }
}

/// Without the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Server {
        Server::parse(line, &Fallback::default()).unwrap()
    }

    #[test]
    fn every_field_but_the_host_may_be_left_out() {
        let server = parse("db.example.com");
        assert_eq!((server.user.as_str(), server.port), ("indimail", 3306));
        assert_eq!(server.password, None);
        assert!(server.is_encrypted());
        let server = parse("db.example.com:joe:secret:3307:nossl\n");
        assert_eq!((server.user.as_str(), server.port), ("joe", 3307));
        assert_eq!(server.password.as_deref(), Some("secret"));
        assert!(!server.is_encrypted());
        let server = parse("localhost:joe:secret:/run/x.sock:ssl");
        assert_eq!(server.socket.as_deref(), Some(Path::new("/run/x.sock")));
        assert!(!server.is_encrypted() && server.tcp_port().is_none());
    }

    #[test]
    fn what_is_left_out_comes_from_the_fallback() {
        let fallback = Fallback {
            user: "u".to_owned(),
            password: "p".to_owned(),
            socket_or_port: "4000".to_owned(),
            database: "d".to_owned(),
        };
        let server = Server::parse("h::q", &fallback).unwrap();
        assert_eq!(server.line(), "h:u:q:4000");
        assert_eq!(server.database, "d");
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["", ":u", "h:u:p:port", "h:u:p:1:tls", "a/b", "a b"] {
            assert!(Server::parse(line, &Fallback::default()).is_err(), "{line}");
        }
        assert!(Server::from_url("postgres://h/d").is_err());
        assert!(Server::from_url("mysql").is_err());
    }

    #[test]
    fn a_url_says_the_same_and_a_password_is_never_shown() {
        let server = Server::from_url("mysql://joe:s%40cret@h:3307/mail").unwrap();
        assert_eq!(server.line(), "h:joe:s@cret:3307");
        assert_eq!(server.database, "mail");
        assert_eq!(server.to_string(), "mysql://joe@h:3307/mail");
        assert!(!format!("{server:?}").contains("cret"));
        let server = Server::from_url("mysql://joe@localhost/mail?socket=/x").unwrap();
        assert_eq!(server.socket.as_deref(), Some(Path::new("/x")));
    }
}
