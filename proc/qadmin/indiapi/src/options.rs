//! The command line.

use std::ffi::OsString;

use listen::TlsMode;
use run::{Exit, PERMANENT};

/// What `--help` prints.
pub const HELP: &str = "\
usage: indiapi [--listen ADDRESS:PORT]... [options]
Administration over HTTP: JSON, described at /v1/openapi.json

  --listen ADDRESS:PORT  where to listen (127.0.0.1:4080)
  --tls none|implicit    none (the default) only on addresses of this machine;
                         implicit: HTTPS
  --certificate NAME     certificate and key in ROOT/certs (servercert.pem)
  --user NAME            user to become when started as root (qadmin)
  --help                 this text

Clients show a token of mgmttoken: Authorization: Bearer TOKEN
ROOT is QMAILDIR, else the directory above the one this program is in, else
/var/indimail. Sockets of other services: ROOT/run/admin, ROOT/run/signer.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.
";

/// Where it listens unless told otherwise: only this machine.
const DEFAULT: &str = "127.0.0.1:4080";

/// What the command line says.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    pub network: listen::Options,
    pub certificate: String,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut given: Vec<OsString> = arguments.collect();
        if !given.iter().any(|word| word == "--listen") {
            given.extend(["--listen", DEFAULT].map(OsString::from));
        }
        let mut options = Self {
            network: listen::Options::new("qadmin"),
            certificate: "servercert.pem".to_owned(),
        };
        options.network.tls = TlsMode::None;
        let Self {
            network,
            certificate,
        } = &mut options;
        let complete = network.parse(given.into_iter(), |name, value| {
            match name {
                "--certificate" => *certificate = value()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let far = network.listen.iter().find(|at| !at.ip().is_loopback());
        match (network.tls, far) {
            (TlsMode::None, Some(address)) => Err(wrong(format!(
                "--listen {address}: only with --tls implicit, or tokens cross the network in \
                 the clear"
            ))),
            (TlsMode::Starttls, _) => Err(wrong("--tls is implicit or none here".to_owned())),
            _ => Ok(complete.then_some(options)),
        }
    }
}

fn wrong(text: String) -> Exit {
    Exit::new(PERMANENT, format!("{text} (see --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_it_is_for_this_machine_only() {
        let parse = |line: &str| Options::parse(line.split_whitespace().map(OsString::from));
        let default = parse("").unwrap().unwrap().network;
        assert_eq!(default.listen, ["127.0.0.1:4080".parse().unwrap()]);
        assert!(parse("--listen [::1]:80").is_ok());
        assert_eq!(parse("--listen 0.0.0.0:80").unwrap_err().code, PERMANENT);
        assert!(parse("--listen 0.0.0.0:80 --tls implicit").is_ok());
        assert!(parse("--tls starttls").is_err());
        assert!(parse("--help").unwrap().is_none());
    }
}
