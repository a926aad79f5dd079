//! The arguments that all network daemons have.

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

    fn take(name: &str, value: &str) -> Result<Options, Exit> {
        let mut options = Options::new("nobody");
        let taken = options.take(name, || Ok(value.to_owned()))?;
        assert_eq!(taken, name != "--frob");
        Ok(options)
    }

    #[test]
    fn addresses_and_modes() {
        let options = take("--listen", "[::1]:143").unwrap();
        assert_eq!(options.listen, ["[::1]:143".parse().unwrap()]);
        assert_eq!(take("--tls", "none").unwrap().tls, TlsMode::None);
        assert_eq!(take("--user", "joe").unwrap().user, "joe");
        assert_eq!(take("--frob", "x").unwrap(), Options::new("nobody"));
    }

    #[test]
    fn mistakes_are_named() {
        for (name, value, word) in [
            ("--listen", "143", "0.0.0.0:25"),
            ("--tls", "maybe", "maybe"),
        ] {
            let error = take(name, value).unwrap_err();
            assert_eq!(error.code, PERMANENT);
            assert!(error.text.contains(word), "{}", error.text);
        }
    }
}
