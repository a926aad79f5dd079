//! The command line: that of the original, and that of our other listeners.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use listen::TlsMode;
use run::{Exit, PERMANENT};

/// What `--help` prints.
pub const HELP: &str = "\
usage: indisrvr -i IP -p PORT [-b N] [-n CERTIFICATE] [options]
Takes administration commands from afar and hands them to admind

  -i IP, -p PORT         where to listen; 0 is every IPv4 address
  --listen ADDRESS:PORT  the same; may be given several times
  -b N                   administrators at once (50)
  -n, --certificate NAME certificate and key in ROOT/certs (servercert.pem)
  -t SECONDS             how long an administrator may be silent (300)
  -T SECONDS             how long logging in may take (60)
  --tls implicit|none    TLS from the first byte (the default), or none for
                         clients of this machine; others are sent away then
  --user NAME            user to become when started as root (qadmin)
  --help                 this text

ROOT is QMAILDIR, else the directory above the one this program is in, else
/var/indimail. Sockets of other services: ROOT/run/admin, ROOT/run/signer.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.
";

/// Whom to become.
const USER: &str = "qadmin";
/// Administrators at once, unless `-b` says otherwise.
const BACKLOG: usize = 50;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    pub network: listen::Options,
    pub certificate: String,
    pub backlog: usize,
    pub silence: Duration,
    pub login: Duration,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Exit> {
        let mut options = Self {
            network: listen::Options::new(USER),
            certificate: "servercert.pem".to_owned(),
            backlog: BACKLOG,
            silence: Duration::from_secs(300),
            login: Duration::from_secs(60),
        };
        options.network.tls = TlsMode::Implicit;
        let (mut ip, mut port) = (None, None);
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--help" {
                return Ok(None);
            }
            let mut value = || {
                let value = arguments.next().and_then(|value| value.into_string().ok());
                value.ok_or_else(|| wrong(format!("{name} needs a value")))
            };
            if options.network.take(&name, &mut value)? {
                continue;
            }
            match name.as_str() {
                "-i" => ip = Some(value()?),
                "-p" => port = Some(value()?),
                "-b" => options.backlog = number(&name, &value()?, 4096)?,
                "-n" | "--certificate" => options.certificate = certificate(&value()?),
                "-t" => options.silence = seconds(&name, &value()?)?,
                "-T" => options.login = seconds(&name, &value()?)?,
                "-v" => {}
                _ => return Err(wrong(format!("unknown argument {name}"))),
            }
        }
        match (ip, port) {
            (Some(ip), Some(port)) => options.network.listen.push(address(&ip, &port)?),
            (None, None) if !options.network.listen.is_empty() => {}
            _ => return Err(wrong("nothing to listen on; give -i and -p".to_owned())),
        }
        if options.network.tls == TlsMode::Starttls {
            return Err(wrong("--tls is implicit or none here".to_owned()));
        }
        Ok(Some(options))
    }
}

fn address(ip: &str, port: &str) -> Result<SocketAddr, Exit> {
    let ip = match ip {
        "0" => "0.0.0.0",
        other => other,
    };
    match (ip.parse(), port.parse()) {
        (Ok(ip), Ok(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(wrong(format!(
            "-i {ip} -p {port}: not an address and a port"
        ))),
    }
}

/// The file below the certificate directory, however it was named: the signer
/// reads nothing else.
fn certificate(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

fn seconds(name: &str, text: &str) -> Result<Duration, Exit> {
    number(name, text, 24 * 3600).map(|seconds| Duration::from_secs(seconds as u64))
}

fn number(name: &str, text: &str, max: usize) -> Result<usize, Exit> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| wrong(format!("{name} {text}: not a number from 1 to {max}")))
}

fn wrong(text: String) -> Exit {
    Exit::new(PERMANENT, format!("{text} (see --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, Exit> {
        Options::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_line_of_the_guide_is_understood() {
        let line = "-i 0 -p 4000 -b 50 -n /var/indimail/control/servercert.pem";
        let options = parse(line).unwrap().unwrap();
        assert_eq!(options.network.listen, ["0.0.0.0:4000".parse().unwrap()]);
        assert_eq!(options.network.tls, TlsMode::Implicit);
        assert_eq!(
            (options.backlog, &*options.certificate),
            (50, "servercert.pem")
        );
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("-i 0", "-p"),
            ("-i x -p 4000", "-i x"),
            ("-i 0 -p 4000 -b 0", "-b 0"),
            ("-i 0 -p 4000 --tls starttls", "implicit or none"),
            ("-i 0 -p 4000 --frob", "--frob"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.code, PERMANENT);
            assert!(error.text.contains(word), "{}", error.text);
        }
    }
}
