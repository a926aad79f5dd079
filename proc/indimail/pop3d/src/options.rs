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
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut options = Self {
            network: listen::Options::new("indimail"),
            certificate: "servercert.pem".to_owned(),
        };
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            let mut value = || {
                let value = arguments.next().and_then(|value| value.into_string().ok());
                value.ok_or_else(|| usage(format!("{name} needs a value")))
            };
            if options.network.take(&name, &mut value)? {
                continue;
            }
            match name.as_str() {
                "--certificate" => options.certificate = value()?,
                other => return Err(usage(format!("unknown argument {other}"))),
            }
        }
        if options.network.listen.is_empty() {
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
    fn arguments_of_all_daemons_and_our_own() {
        let options = parse("--listen 127.0.0.1:110 --listen [::1]:110 --certificate a.pem");
        let options = options.unwrap().unwrap();
        assert_eq!(options.network.listen.len(), 2);
        assert_eq!(options.certificate, "a.pem");
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("", "--listen"),
            ("--listen", "needs a value"),
            ("--frob", "--frob"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.code, run::PERMANENT);
            assert!(error.text.contains(word), "{}", error.text);
        }
    }
}
