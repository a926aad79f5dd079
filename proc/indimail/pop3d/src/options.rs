//! The command line.

use std::ffi::OsString;

use run::Exit;

/// What `--help` prints.
pub const HELP: &str = "\
usage: pop3d --listen ADDRESS:PORT [--listen ...] [options]
Serves the mailboxes of an installation over POP3

  --listen ADDRESS:PORT  where to listen; may be given several times.
                         0.0.0.0:110 is all IPv4, [::]:110 all IPv6
  --tls MODE             implicit: TLS from the first byte (port 995)
                         starttls: STLS is offered (port 110; the default)
                         none: no TLS; logins from this machine only
  --certificate NAME     certificate and key in ROOT/certs (servercert.pem)
  --user NAME            user to become when started as root (indimail)
  --help                 this text

ROOT is QMAILDIR, else the directory above the one this program is in, else
/var/indimail. Sockets of other services: ROOT/run/inlookup, ROOT/run/signer.
DISABLE_PASS (variable): USER and PASS are refused, AUTH is not.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.
";

/// What the command line says.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    pub network: listen::Options,
    pub certificate: String,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut options = Self {
            network: listen::Options::new("indimail"),
            certificate: "servercert.pem".to_owned(),
        };
        let Self {
            network,
            certificate,
        } = &mut options;
        let complete = network.parse(arguments, |name, value| {
            match name {
                "--certificate" => *certificate = value()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(complete.then_some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, Exit> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn arguments_of_all_daemons_and_our_own() {
        let options = parse("--listen [::1]:143 --certificate a.pem")
            .unwrap()
            .unwrap();
        assert_eq!(options.network.listen.len(), 1);
        assert_eq!(options.certificate, "a.pem");
        assert!(parse("--help").unwrap().is_none());
    }
}
