//! The question to inlookup.

use std::time::Duration;

use run::{Home, Link};
use wire::lookup::{Login, Reply, Request, Service, VERSION};

/// Checking a password is slow on purpose, and others may be before us.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Where an installation is unless `root=` says otherwise.
const ROOT: &str = "/var/indimail";

/// What the line that names this module says.
pub struct Options {
    root: String,
    service: Service,
}

/// What became of it.
pub enum Verdict {
    /// It is the password.
    Right,
    /// It is not, or nobody has that name.
    Wrong,
    /// It is, but the account may not use the service.
    Forbidden,
    /// The name is none.
    Unknown,
    /// Nobody can tell now.
    Later,
}

impl Options {
    /// Reads arguments; `None` when one is not known: nobody gets in by a
    /// mistake in a file.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let mut options = Self {
            root: ROOT.to_owned(),
            service: Service::Imap,
        };
        for argument in arguments {
            match argument.split_once('=')? {
                ("root", root) => options.root = root.to_owned(),
                ("service", "imap") => options.service = Service::Imap,
                ("service", "pop3") => options.service = Service::Pop3,
                ("service", "smtp") => options.service = Service::Smtp,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Asks whether this is the password of a user.
pub fn password(options: &Options, user: &[u8], password: &[u8], remote_ip: &[u8]) -> Verdict {
    // A name without a domain is for those who know accounts of the system.
    if !user.contains(&b'@') {
        return Verdict::Unknown;
    }
    let request = Request::Password {
        service: options.service,
        user: user.to_vec(),
        password: password.to_vec(),
        remote_ip: String::from_utf8_lossy(remote_ip).into_owned(),
    };
    let socket = Home::at(&options.root).socket("inlookup");
    let reply = Link::connect(&socket, VERSION, TIMEOUT).and_then(|mut link| link.ask(&request));
    match reply {
        Ok(Reply::Login(Login::Granted(_))) => Verdict::Right,
        Ok(Reply::Login(Login::Refused)) => Verdict::Wrong,
        Ok(Reply::Login(Login::Forbidden(_))) => Verdict::Forbidden,
        Ok(_) | Err(_) => Verdict::Later,
    }
}
