//! Proving to a smarthost who we are (RFC 4954).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::Mechanism;
use sasl::client::{CramMd5, ScramSha256, login, plain};

/// A user and a password.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name.
    pub user: Vec<u8>,
    /// The password.
    pub password: Vec<u8>,
    /// Fresh random text for SCRAM, printable and without comma.
    pub nonce: String,
}

/// Without the password, which does not belong into any log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &text::log::printable(&self.user, 64))
            .finish_non_exhaustive()
    }
}

/// Which mechanisms may be used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MechanismChoice {
    /// The strongest the server offers.
    #[default]
    Strongest,
    /// This one only.
    Only(Mechanism),
}

impl MechanismChoice {
    /// Picks from what is offered; when what is said can be overheard only
    /// mechanisms that keep the password secret.
    pub(super) fn pick(self, offered: &[Mechanism], secured: bool) -> Option<Mechanism> {
        [
            Mechanism::ScramSha256,
            Mechanism::CramMd5,
            Mechanism::Plain,
            Mechanism::Login,
        ]
        .into_iter()
        .filter(|mechanism| match self {
            Self::Strongest => true,
            Self::Only(wanted) => wanted == *mechanism,
        })
        .filter(|mechanism| secured || !mechanism.sends_password())
        .find(|mechanism| offered.contains(mechanism))
    }
}

/// One authentication that is going on.
pub(super) struct Exchange {
    credentials: Credentials,
    mechanism: Mechanism,
    scram: ScramSha256,
    server_proved: bool,
}

impl Exchange {
    pub fn new(credentials: &Credentials, mechanism: Mechanism) -> Self {
        let Credentials {
            user,
            password,
            nonce,
        } = credentials;
        Self {
            credentials: credentials.clone(),
            mechanism,
            scram: ScramSha256::new(user, password, nonce),
            server_proved: false,
        }
    }

    /// The command that starts it.
    pub fn command(&self) -> String {
        let Credentials { user, password, .. } = &self.credentials;
        let first = match self.mechanism {
            Mechanism::Plain => plain(user, password),
            Mechanism::ScramSha256 => self.scram.first(),
            Mechanism::Login | Mechanism::CramMd5 => {
                return format!("AUTH {}\r\n", self.mechanism);
            }
        };
        format!("AUTH {} {}\r\n", self.mechanism, STANDARD.encode(first))
    }

    /// The answer to challenge number `round`; `None` when the server asks
    /// for more than the mechanism has, or says what is not a challenge.
    pub fn answer(&mut self, round: usize, challenge: &[u8]) -> Option<String> {
        let Credentials { user, password, .. } = &self.credentials;
        let challenge = || STANDARD.decode(challenge.trim_ascii()).ok();
        let response = match (self.mechanism, round) {
            // What the server asks for in words nobody standardised.
            (Mechanism::Login, 0 | 1) => login(user, password)[round].clone(),
            (Mechanism::CramMd5, 0) => CramMd5::new(user, password).respond(&challenge()?),
            (Mechanism::ScramSha256, 0) => self.scram.last(&challenge()?).ok()?,
            (Mechanism::ScramSha256, 1) => {
                self.scram.verify(&challenge()?).ok()?;
                self.server_proved = true;
                Vec::new()
            }
            (
                Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 | Mechanism::ScramSha256,
                _,
            ) => return None,
        };
        Some(STANDARD.encode(response) + "\r\n")
    }

    /// Says whether the server's final yes is to be believed: with SCRAM it
    /// must have proved that it knows the password, too.
    pub fn may_end(&mut self, text: &[u8]) -> bool {
        if self.mechanism != Mechanism::ScramSha256 || self.server_proved {
            return true;
        }
        STANDARD
            .decode(text.trim_ascii())
            .is_ok_and(|last| self.scram.verify(&last).is_ok())
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(mechanism: Mechanism) -> Exchange {
        let credentials = Credentials {
            user: b"tim".to_vec(),
            password: b"tanstaaftanstaaf".to_vec(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL".to_owned(),
        };
        Exchange::new(&credentials, mechanism)
    }

    #[test]
    fn the_example_of_rfc_2195() {
        let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        let mut exchange = exchange(Mechanism::CramMd5);
        assert_eq!(
            exchange.answer(0, challenge).as_deref(),
            Some("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n")
        );
        let second = exchange.answer(1, challenge);
        assert_eq!(second, None, "a server cannot ask for ever");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_not_believed() {
        let mut exchange = exchange(Mechanism::ScramSha256);
        assert!(exchange.command().starts_with("AUTH SCRAM-SHA-256 "));
        assert!(!exchange.may_end(b""));
        assert_eq!(exchange.answer(0, b"!!"), None);
        assert_eq!(exchange.answer(1, b"dj1hYmNk"), None);
    }

    #[test]
    fn a_password_is_not_shown_to_everybody() {
        use Mechanism::{CramMd5, Login, Plain};
        let choice = MechanismChoice::Strongest;
        assert_eq!(choice.pick(&[Login, Plain], false), None);
        assert_eq!(choice.pick(&[Login, Plain], true), Some(Plain));
        assert_eq!(choice.pick(&[Plain, CramMd5], false), Some(CramMd5));
        let only = MechanismChoice::Only(Login);
        assert_eq!(only.pick(&[Plain, CramMd5], true), None);
    }
}
