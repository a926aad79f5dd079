//! The command line.

use std::ffi::OsString;

use run::Exit;

/// What `--help` prints.
pub const HELP: &str = "\
usage: imapd --listen ADDRESS:PORT [--listen ...] [options]
Serves the mailboxes of an installation over IMAP4rev1

  --listen ADDRESS:PORT  where to listen; may be given several times.
                         0.0.0.0:143 is all IPv4, [::]:143 all IPv6
  --tls MODE             implicit: TLS from the first byte (port 993)
                         starttls: STARTTLS is offered (port 143; the default)
                         none: no TLS; passwords from this machine only
  --certificate NAME     certificate and key in ROOT/certs (servercert.pem)
  --message-bytes N      largest message APPEND takes (67108864)
  --user NAME            user to become when started as root (indimail)
  --help                 this text

ROOT is QMAILDIR, else the directory above the one this program is in, else
/var/indimail. Sockets of other services: ROOT/run/inlookup, ROOT/run/signer.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.
";

/// What the command line says.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    pub network: listen::Options,
    pub certificate: String,
    pub message_bytes_max: u64,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut options = Self {
            network: listen::Options::new("indimail"),
            certificate: "servercert.pem".to_owned(),
            message_bytes_max: imap::session::MESSAGE_BYTES_MAX,
        };
        let Self {
            network,
            certificate,
            message_bytes_max,
        } = &mut options;
        let complete = network.parse(arguments, |name, value| {
            match name {
                "--message-bytes" => {
                    let text = value()?;
                    let number = text.parse().map_err(|_| {
                        let text = format!("--message-bytes {text}: not a number (see --help)");
                        Exit::new(run::PERMANENT, text)
                    })?;
                    *message_bytes_max = number;
                }
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
        let options = parse("--listen [::1]:143 --certificate a.pem --message-bytes 9")
            .unwrap()
            .unwrap();
        assert_eq!(options.network.listen.len(), 1);
        assert_eq!(options.certificate, "a.pem");
        assert_eq!(options.message_bytes_max, 9);
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn a_size_is_a_number() {
        let error = parse("--message-bytes many").unwrap_err();
        assert!(error.text.contains("many"), "{}", error.text);
    }
}
