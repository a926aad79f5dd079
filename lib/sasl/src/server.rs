//! One authentication as the server sees it.
//!
//! [`Exchange::start`] opens it; then, depending on the [`Step`], the caller
//! sends a challenge and hands over the response with [`Exchange::respond`],
//! or puts a question to inlookup and hands over the reply with
//! [`Exchange::answer`]. The cancel word `*` and base64 are the caller's.

mod scram;

use wire::lookup::{Account, Login, Reply, Request, Service};

pub use crate::Mechanism;
use crate::cram;

/// Longest payload of one response, decoded. RFC 4616 §2 needs 3 × 255.
pub const RESPONSE_BYTES_MAX: usize = 9 * 1024;
/// Longest user name.
pub const USER_BYTES_MAX: usize = 512;
/// Fewest bytes of a seed that make a challenge nobody guesses.
pub const SEED_BYTES_MIN: usize = 16;

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this, in base64, and wait for the response.
    Challenge(Vec<u8>),
    /// Ask inlookup, then call [`Exchange::answer`].
    Ask(Question),
    /// The client is who it says.
    Granted(Box<Account>),
    /// It is not, or nobody can tell.
    Refused(Refusal),
}

/// Why an authentication failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Wrong user or password; never say which.
    Credentials,
    /// Right password, but the account may not use the service; for the user.
    Forbidden(String),
    /// The response is not what the mechanism prescribes.
    Malformed,
    /// The question could not be answered now; for the log.
    Temporary(String),
}

/// A question about a user; [`Question::to_request`] makes it one of the
/// lookup protocol.
#[derive(Clone, Eq, PartialEq)]
pub enum Question {
    /// Is this the password?
    Password {
        /// As the client wrote it.
        user: Vec<u8>,
        /// As the client wrote it.
        password: Vec<u8>,
    },
    /// Is this the digest of our challenge?
    CramMd5 {
        /// As the client wrote it.
        user: Vec<u8>,
        /// What we sent.
        challenge: Vec<u8>,
        /// What came back.
        digest: Vec<u8>,
    },
    /// With which salt and iterations was the password stored?
    ScramParameters {
        /// As the client wrote it, unescaped.
        user: Vec<u8>,
    },
    /// Is this the proof?
    ScramProof {
        /// As the client wrote it, unescaped.
        user: Vec<u8>,
        /// The AuthMessage of RFC 5802 §3.
        auth_message: Vec<u8>,
        /// ClientProof.
        proof: Vec<u8>,
    },
}

/// Never prints a password: questions end up in debug output.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Password { .. } => "Password",
            Self::CramMd5 { .. } => "CramMd5",
            Self::ScramParameters { .. } => "ScramParameters",
            Self::ScramProof { .. } => "ScramProof",
        };
        write!(f, "{name}({})", String::from_utf8_lossy(self.user()))
    }
}

impl Question {
    /// Whom the question is about, as the client wrote it.
    pub fn user(&self) -> &[u8] {
        match self {
            Self::Password { user, .. }
            | Self::CramMd5 { user, .. }
            | Self::ScramParameters { user }
            | Self::ScramProof { user, .. } => user,
        }
    }

    /// The question as inlookup takes it.
    pub fn to_request(&self, service: Service, remote_ip: &str) -> Request {
        let remote_ip = remote_ip.to_owned();
        match self.clone() {
            Self::Password { user, password } => Request::Password {
                service,
                user,
                password,
                remote_ip,
            },
            Self::CramMd5 {
                user,
                challenge,
                digest,
            } => Request::CramMd5 {
                service,
                user,
                challenge,
                digest,
                remote_ip,
            },
            Self::ScramParameters { user } => Request::ScramParameters { user },
            Self::ScramProof {
                user,
                auth_message,
                proof,
            } => Request::ScramProof {
                service,
                user,
                auth_message,
                proof,
                remote_ip,
            },
        }
    }
}

/// An authentication under way.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    state: State,
    user: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The challenge of PLAIN is out: nothing but "go on".
    Plain,
    LoginUser,
    LoginPassword {
        user: Vec<u8>,
    },
    CramMd5 {
        challenge: Vec<u8>,
    },
    ScramFirst {
        nonce: String,
    },
    ScramAsking(scram::First),
    ScramFinal(scram::Second),
    ScramProving,
    /// The server signature is out; the client acknowledges it.
    ScramSigned(Box<Account>),
    /// A verdict on a password or digest is awaited.
    Asking,
    Over,
}

impl Exchange {
    /// Opens an authentication. `challenge_seed` is at least
    /// [`SEED_BYTES_MIN`] random bytes, used once.
    pub fn start(
        mechanism: Mechanism,
        initial_response: Option<&[u8]>,
        challenge_seed: &[u8],
    ) -> (Self, Step) {
        debug_assert!(SEED_BYTES_MIN <= challenge_seed.len());
        let seed = cram::hex(challenge_seed);
        let (state, challenge) = match mechanism {
            Mechanism::Plain => (State::Plain, Vec::new()),
            Mechanism::Login => (State::LoginUser, b"Username:".to_vec()),
            Mechanism::CramMd5 => {
                let challenge = format!("<{seed}@sasl.invalid>").into_bytes();
                let state = State::CramMd5 {
                    challenge: challenge.clone(),
                };
                (state, challenge)
            }
            Mechanism::ScramSha256 => (State::ScramFirst { nonce: seed }, Vec::new()),
        };
        let mut exchange = Self {
            mechanism,
            state,
            user: Vec::new(),
        };
        let step = match initial_response {
            // RFC 4954 §4: the server speaks first in CRAM-MD5.
            Some(_) if mechanism == Mechanism::CramMd5 => exchange.fail(Refusal::Malformed),
            Some(response) => exchange.respond(response),
            None => Step::Challenge(challenge),
        };
        (exchange, step)
    }

    /// Takes the decoded response to the last challenge.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        if RESPONSE_BYTES_MAX < response.len() {
            return self.fail(Refusal::Malformed);
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => self.plain(response),
            State::LoginUser if is_name(response) => {
                self.state = State::LoginPassword {
                    user: response.to_vec(),
                };
                Step::Challenge(b"Password:".to_vec())
            }
            State::LoginPassword { user } => self.password(user, response),
            State::CramMd5 { challenge } => self.cram_md5(challenge, response),
            State::ScramFirst { nonce } => match scram::First::parse(response, &nonce) {
                Some(first) => {
                    let user = first.user.clone();
                    self.state = State::ScramAsking(first);
                    self.ask(Question::ScramParameters { user })
                }
                None => Step::Refused(Refusal::Malformed),
            },
            State::ScramFinal(second) => match second.proof(response) {
                Some((user, auth_message, proof)) => {
                    self.state = State::ScramProving;
                    self.ask(Question::ScramProof {
                        user,
                        auth_message,
                        proof,
                    })
                }
                None => Step::Refused(Refusal::Malformed),
            },
            State::ScramSigned(account) if response.is_empty() => Step::Granted(account),
            _ => Step::Refused(Refusal::Malformed),
        }
    }

    /// Takes inlookup's reply to the last [`Step::Ask`].
    pub fn answer(&mut self, reply: Reply) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), reply) {
            (_, Reply::Temporary(text)) => Step::Refused(Refusal::Temporary(text)),
            (State::ScramAsking(first), Reply::ScramParameters { salt, iterations }) => {
                let (second, challenge) = first.parameters(&salt, iterations);
                self.state = State::ScramFinal(second);
                Step::Challenge(challenge)
            }
            (State::Asking | State::ScramProving, Reply::Login(Login::Refused)) => {
                Step::Refused(Refusal::Credentials)
            }
            (State::Asking | State::ScramProving, Reply::Login(Login::Forbidden(text))) => {
                Step::Refused(Refusal::Forbidden(text))
            }
            (State::Asking, Reply::Login(Login::Granted(account))) => {
                Step::Granted(Box::new(account))
            }
            (State::ScramProving, Reply::Login(Login::Granted(account))) => {
                let challenge = scram::signature(&account.server_signature);
                self.state = State::ScramSigned(Box::new(account));
                Step::Challenge(challenge)
            }
            (_, reply) => {
                let text = format!("inlookup answered another question: {reply:?}");
                Step::Refused(Refusal::Temporary(text))
            }
        }
    }

    /// The mechanism in use.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The user the client claims to be, for logs; empty while unknown.
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// RFC 4616 §2: authzid NUL user NUL password. The authzid must be empty
    /// or the user itself: nobody acts for others here.
    fn plain(&mut self, response: &[u8]) -> Step {
        let parts: Vec<&[u8]> = response.split(|&b| b == 0).collect();
        match parts[..] {
            [authzid, user, password]
                if is_name(user) && (authzid.is_empty() || authzid == user) =>
            {
                self.password(user.to_vec(), password)
            }
            _ => self.fail(Refusal::Malformed),
        }
    }

    fn password(&mut self, user: Vec<u8>, password: &[u8]) -> Step {
        if password.is_empty() || password.contains(&0) {
            return self.fail(Refusal::Malformed);
        }
        self.state = State::Asking;
        self.ask(Question::Password {
            user,
            password: password.to_vec(),
        })
    }

    /// RFC 2195 §2: user SP digest; the user may contain spaces.
    fn cram_md5(&mut self, challenge: Vec<u8>, response: &[u8]) -> Step {
        const DIGEST_BYTES: usize = 32;
        let space = response.iter().rposition(|&b| b == b' ');
        let Some((user, digest)) = space.map(|at| (&response[..at], &response[at + 1..])) else {
            return self.fail(Refusal::Malformed);
        };
        let hex = digest.len() == DIGEST_BYTES && digest.iter().all(u8::is_ascii_hexdigit);
        if !hex || !is_name(user) {
            return self.fail(Refusal::Malformed);
        }
        self.state = State::Asking;
        self.ask(Question::CramMd5 {
            user: user.to_vec(),
            challenge,
            digest: digest.to_ascii_lowercase(),
        })
    }

    fn ask(&mut self, question: Question) -> Step {
        self.user = question.user().to_vec();
        Step::Ask(question)
    }

    fn fail(&mut self, refusal: Refusal) -> Step {
        self.state = State::Over;
        Step::Refused(refusal)
    }
}

/// A user name: something, not endless, no control characters.
fn is_name(user: &[u8]) -> bool {
    (1..=USER_BYTES_MAX).contains(&user.len()) && !user.iter().any(u8::is_ascii_control)
}

#[cfg(test)]
mod tests;
