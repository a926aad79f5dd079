//! The command line, and variables where it says nothing.

use std::path::PathBuf;
use std::time::Duration;

use run::{Exit, PERMANENT};
use wire::admin;
use zeroize::Zeroizing;

/// What `--help` prints.
pub const HELP: &str = "\
usage: adminclient [options] COMMAND [ARGUMENTS]
Runs an administration command on the host of an indisrvr

  -h HOST, -P PORT     where it listens (ADMIN_HOST, ADMIN_PORT; 4000)
  -u USER              who you are (ADMIN_USER)
  -p PASSWORD          your password (ADMIN_PASS); others can see it there
  --password-file FILE its first line is the password
  -c FILE              certificates to trust, PEM (those of the system)
  -m NAME              the name in the server's certificate (HOST)
  -t SECONDS           how long the command may be silent (ADMIN_TIMEOUT, 120)
  -T SECONDS           how long connecting may take (60)
  --tls none           no TLS, to a server on this machine only
  --help               this text

Exit codes: those of the command; 100 wrong use or refused, 111 not now.
";

/// What the command line says.
pub struct Options {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Zeroizing<String>,
    pub authorities: Option<PathBuf>,
    pub name: Option<String>,
    pub silence: Duration,
    pub connect: Duration,
    pub tls: bool,
    /// The line to send, without its end.
    pub line: Zeroizing<String>,
}

impl Options {
    /// Parses arguments; `None` when help is asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Exit> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (mut host, mut port) = (variable("ADMIN_HOST"), variable("ADMIN_PORT"));
        let mut user = variable("ADMIN_USER");
        let mut password = variable("ADMIN_PASS").map(Zeroizing::new);
        let mut silence = variable("ADMIN_TIMEOUT");
        let (mut connect, mut authorities, mut name) = (None, None, None);
        let mut tls = true;
        let command = loop {
            let Some(word) = words.next() else {
                return Err(wrong("which command?"));
            };
            let mut value = || {
                let value = words.next();
                value.ok_or_else(|| wrong(&format!("{word} needs a value")))
            };
            match word.as_str() {
                "--help" => return Ok(None),
                "-h" => host = Some(value()?),
                "-P" => port = Some(value()?),
                "-u" => user = Some(value()?),
                "-p" => password = Some(Zeroizing::new(value()?)),
                "--password-file" => password = Some(first_line(&value()?)?),
                "-c" => authorities = Some(PathBuf::from(value()?)),
                "-m" => name = Some(value()?),
                "-t" => silence = Some(value()?),
                "-T" => connect = Some(value()?),
                "--tls" => tls = value()? != "none",
                "--" => break words.next().ok_or_else(|| wrong("which command?"))?,
                option if option.starts_with('-') => {
                    return Err(wrong(&format!("unknown option {option}")));
                }
                _ => break word,
            }
        };
        let missing = |what: &str| wrong(&format!("{what} is missing"));
        let port = port.unwrap_or_else(|| "4000".to_owned());
        Ok(Some(Self {
            host: host.ok_or_else(|| missing("-h HOST"))?,
            port: port
                .parse()
                .map_err(|_| wrong(&format!("-P {port}: not a port")))?,
            user: user.ok_or_else(|| missing("-u USER"))?,
            password: password.ok_or_else(|| missing("the password"))?,
            authorities,
            name,
            silence: seconds(silence.as_deref().unwrap_or("120"))?,
            connect: seconds(connect.as_deref().unwrap_or("60"))?,
            tls,
            line: line(&command, words)?,
        }))
    }
}

fn first_line(path: &str) -> Result<Zeroizing<String>, Exit> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| wrong(&format!("cannot read {path}: {error}")))?;
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}

fn seconds(text: &str) -> Result<Duration, Exit> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=86_400).contains(number));
    number
        .map(Duration::from_secs)
        .ok_or_else(|| wrong(&format!("{text}: not a number of seconds")))
}

/// `INDEX command arg1 arg2 …`, each word quoted where it has to be.
fn line(command: &str, words: impl Iterator<Item = String>) -> Result<Zeroizing<String>, Exit> {
    let name = command.rsplit('/').next().unwrap_or(command);
    let Some(number) = admin::number(name) else {
        return Err(wrong(&format!("{name} cannot be run from afar")));
    };
    let mut line = Zeroizing::new(format!("{number} {name}"));
    for word in words {
        if word.chars().any(char::is_control) {
            return Err(wrong("an argument has a control character"));
        }
        line.push_str(" '");
        // Inside of quotes only a quote is special.
        line.push_str(&word.replace('\'', "'\\''"));
        line.push('\'');
    }
    Ok(line)
}

fn wrong(text: &str) -> Exit {
    Exit::new(PERMANENT, format!("{text} (see --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_becomes_a_line_with_its_number() {
        let words = ["joe@a.example", "it's two", ""].map(str::to_owned);
        let sent = line("/usr/bin/vadduser", words.into_iter()).unwrap();
        assert_eq!(*sent, r"0 vadduser 'joe@a.example' 'it'\''s two' ''");
        assert!(line("sh", [].into_iter()).is_err());
        assert!(line("vadduser", ["a\nb".to_owned()].into_iter()).is_err());
    }
}
