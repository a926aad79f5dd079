//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;

use run::Exit;

/// What `--help` prints.
pub const HELP: &str = "\
usage: pop3d --listen ADDRESS:PORT [--listen ...] [options]
Serves the mailboxes of an installation over POP3

  --listen ADDRESS:PORT  where to listen; may be given several times
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

/// How connections are encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// From the first byte.
    Implicit,
    /// When the client says STLS.
    StartTls,
    /// Not.
    None,
}

/// What the command line says.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    pub listen: Vec<SocketAddr>,
    pub tls: Mode,
    pub certificate: String,
    pub user: String,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut options = Self {
            listen: Vec::new(),
            tls: Mode::StartTls,
            certificate: "servercert.pem".to_owned(),
            user: "indimail".to_owned(),
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            let mut value = || {
                let value = arguments.next().and_then(|value| value.into_string().ok());
                value.ok_or_else(|| usage(format!("{name} needs a value")))
            };
            match name.as_str() {
                "--listen" => {
                    let text = value()?;
                    let address = text.parse().map_err(|_| {
                        usage(format!("--listen {text}: write 0.0.0.0:110 or [::]:110"))
                    })?;
                    options.listen.push(address);
                }
                "--tls" => {
                    options.tls = match value()?.as_str() {
                        "implicit" => Mode::Implicit,
                        "starttls" => Mode::StartTls,
                        "none" => Mode::None,
                        other => return Err(usage(format!("--tls {other}: not a mode"))),
                    }
                }
                "--certificate" => options.certificate = value()?,
                "--user" => options.user = value()?,
                other => return Err(usage(format!("unknown argument {other}"))),
            }
        }
        if options.listen.is_empty() {
            return Err(usage("nothing to listen on; give --listen".to_owned()));
        }
        Ok(Some(options))
    }
}

fn usage(text: String) -> Exit {
    Exit::new(run::PERMANENT, format!("{text} (see pop3d --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, Exit> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn listeners_and_modes() {
        let options = parse("--listen 127.0.0.1:110 --listen [::1]:110 --tls none");
        let options = options.unwrap().unwrap();
        assert_eq!((options.listen.len(), options.tls), (2, Mode::None));
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("", "--listen"),
            ("--listen", "needs a value"),
            ("--listen 110", "0.0.0.0:110"),
            ("--tls maybe", "maybe"),
            ("--frob", "--frob"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.code, run::PERMANENT);
            assert!(error.text.contains(word), "{}", error.text);
        }
    }
}
