//! Proving to a smarthost who we are (RFC 4954).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;

/// A user and a password.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name.
    pub user: Vec<u8>,
    /// The password.
    pub password: Vec<u8>,
}

/// Without the password, which does not belong into any log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &text::log::printable(&self.user, 64))
            .finish_non_exhaustive()
    }
}

/// How to prove it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// What old servers have.
    Login,
    /// RFC 2195.
    CramMd5,
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

impl Mechanism {
    /// Parses a name, without case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        [Self::Plain, Self::Login, Self::CramMd5]
            .into_iter()
            .find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
        }
    }

    /// Says whether whoever listens learns the password.
    pub fn reveals_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
            Self::CramMd5 => false,
        }
    }

    /// The command that starts it.
    pub(super) fn command(self, credentials: &Credentials) -> String {
        match self {
            Self::Plain => {
                let Credentials { user, password } = credentials;
                let response = [b"\0", user.as_slice(), b"\0", password].concat();
                format!("AUTH PLAIN {}\r\n", STANDARD.encode(response))
            }
            Self::Login | Self::CramMd5 => format!("AUTH {}\r\n", self.name()),
        }
    }

    /// The answer to the challenge number `round`; `None` when the server
    /// asks for more than the mechanism has, or says what is not a challenge.
    pub(super) fn answer(
        self,
        credentials: &Credentials,
        round: usize,
        challenge: &[u8],
    ) -> Option<String> {
        let response = match (self, round) {
            (Self::Login, 0) => STANDARD.encode(&credentials.user),
            (Self::Login, 1) => STANDARD.encode(&credentials.password),
            (Self::CramMd5, 0) => {
                let challenge = STANDARD.decode(challenge.trim_ascii()).ok()?;
                let mut mac = Hmac::<Md5>::new_from_slice(&credentials.password).ok()?;
                mac.update(&challenge);
                let mut response = credentials.user.clone();
                response.push(b' ');
                for byte in mac.finalize().into_bytes() {
                    response.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
                STANDARD.encode(response)
            }
            (Self::Plain | Self::Login | Self::CramMd5, _) => return None,
        };
        Some(response + "\r\n")
    }
}

impl MechanismChoice {
    /// Picks from what is offered; when what is said can be overheard only
    /// mechanisms that keep the password secret.
    pub(super) fn pick(self, offered: &[Mechanism], secured: bool) -> Option<Mechanism> {
        [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login]
            .into_iter()
            .filter(|mechanism| match self {
                Self::Strongest => true,
                Self::Only(wanted) => wanted == *mechanism,
            })
            .filter(|mechanism| secured || !mechanism.reveals_password())
            .find(|mechanism| offered.contains(mechanism))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195() {
        let credentials = Credentials {
            user: b"tim".to_vec(),
            password: b"tanstaaftanstaaf".to_vec(),
        };
        let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        assert_eq!(
            Mechanism::CramMd5
                .answer(&credentials, 0, challenge)
                .as_deref(),
            Some("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n")
        );
        assert_eq!(
            Mechanism::CramMd5.answer(&credentials, 1, challenge),
            None,
            "a server cannot ask for ever"
        );
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
