//! The arguments that all network daemons have.

use std::ffi::OsString;
use std::net::SocketAddr;

use run::{Exit, PERMANENT};

/// How connections are encrypted (`--tls`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsMode {
    /// From the first byte.
    Implicit,
    /// When the client asks.
    Starttls,
    /// Never.
    None,
}

/// Where the value of an argument is to be had.
pub type Value<'a> = &'a mut dyn FnMut() -> Result<String, Exit>;

/// `--listen`, `--tls` and `--user`.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    /// Where to listen; what cannot be missing is up to the program.
    pub listen: Vec<SocketAddr>,
    /// How connections are encrypted.
    pub tls: TlsMode,
    /// Whom to become after binding.
    pub user: String,
}

impl Options {
    /// The defaults, for a daemon that runs as `user`.
    pub fn new(user: &str) -> Self {
        Self {
            listen: Vec::new(),
            tls: TlsMode::Starttls,
            user: user.to_owned(),
        }
    }

    /// Reads a whole command line. An argument that not every daemon has goes
    /// to `own`, with a way to its value; it says whether it knows it. False
    /// when help is asked for.
    pub fn parse(
        &mut self,
        mut arguments: impl Iterator<Item = OsString>,
        mut own: impl FnMut(&str, Value<'_>) -> Result<bool, Exit>,
    ) -> Result<bool, Exit> {
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--help" || name == "-h" {
                return Ok(false);
            }
            let mut value = || {
                let value = arguments.next().and_then(|value| value.into_string().ok());
                value.ok_or_else(|| wrong(format!("{name} needs a value")))
            };
            if !self.take(&name, &mut value)? && !own(&name, &mut value)? {
                return Err(wrong(format!("unknown argument {name}")));
            }
        }
        if self.listen.is_empty() {
            return Err(wrong("nothing to listen on; give --listen".to_owned()));
        }
        Ok(true)
    }

    /// Takes one argument, for whose value it asks; says whether it was one
    /// of these.
    pub fn take(
        &mut self,
        name: &str,
        value: impl FnOnce() -> Result<String, Exit>,
    ) -> Result<bool, Exit> {
        match name {
            "--listen" => {
                let text = value()?;
                let address = text.parse().map_err(|_| {
                    wrong(format!(
                        "--listen {text}: write ADDRESS:PORT, as 0.0.0.0:25 or [::]:25"
                    ))
                })?;
                self.listen.push(address);
            }
            "--tls" => {
                self.tls = match value()?.as_str() {
                    "implicit" => TlsMode::Implicit,
                    "starttls" => TlsMode::Starttls,
                    "none" => TlsMode::None,
                    other => {
                        let text = format!("--tls is implicit, starttls or none, not {other}");
                        return Err(wrong(text));
                    }
                }
            }
            "--user" => self.user = value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn wrong(text: String) -> Exit {
    Exit::new(PERMANENT, format!("{text} (see --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, Exit> {
        let mut options = Options::new("nobody");
        let words = line.split(' ').map(OsString::from);
        let complete = options.parse(words, |name, value| match name {
            "--size" => value().map(|size| size == "9"),
            _ => Ok(false),
        })?;
        Ok(complete.then_some(options))
    }

    #[test]
    fn addresses_and_modes() {
        let line = "--listen 127.0.0.1:143 --size 9 --listen [::1]:143 --tls none --user joe";
        let options = parse(line).unwrap().unwrap();
        assert_eq!(options.listen.len(), 2);
        assert_eq!((options.tls, &*options.user), (TlsMode::None, "joe"));
        assert!(parse("--help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("--tls none", "--listen"),
            ("--listen", "needs a value"),
            ("--listen 143", "0.0.0.0:25"),
            ("--tls maybe", "maybe"),
            ("--frob", "--frob"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.code, PERMANENT);
            assert!(error.text.contains(word), "{}", error.text);
        }
    }
}
