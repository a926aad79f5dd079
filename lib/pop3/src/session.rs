//! One session as the server sees it, without a socket.
//!
//! The driver hands over bytes with [`Session::receive`], then calls
//! [`Session::step`] until it says [`Step::Wait`]. While a question is open no
//! further command is read, so a client that pipelines gets its replies in
//! the order of its commands.

mod login;
mod transaction;

use std::mem;

use sasl::Mechanism;
use sasl::server::{Exchange, Question};
use wire::lookup::{Account, Reply};

use crate::command::{COMMAND_BYTES_MAX, Command, SyntaxError};
use crate::maildrop::{Entry, Maildrop, Update};

/// Longest line: a response of SASL in base64.
pub const LINE_BYTES_MAX: usize = 12 * 1024 + 2;

/// Logins that may fail before the session ends.
pub const FAILURES_MAX: u32 = 3;

/// Errors of syntax or order before the session ends.
pub const ERRORS_MAX: u32 = 20;

/// How well the connection is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// TLS is up.
    Active,
    /// STLS is offered.
    Offered,
    /// There is no TLS here.
    None,
}

/// What a server offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// TLS at the start.
    pub encryption: Encryption,
    /// Passwords may cross the wire without TLS: the peer is this machine.
    pub plaintext: bool,
    /// USER and PASS are understood at all (`DISABLE_PASS`).
    pub pass: bool,
    /// Mechanisms that users have secrets for.
    pub mechanisms: Vec<Mechanism>,
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// As `Send`, but not at once: the login failed, and who guesses waits.
    SendLate(Vec<u8>),
    /// Ask inlookup, then call [`Session::answer`].
    Ask(Question),
    /// Send these bytes, start TLS, then call [`Session::secured`].
    Secure(Vec<u8>),
    /// Open the mailbox, then call [`Session::opened`].
    Open(Box<Account>),
    /// Open message `at`; say with [`Session::found`] whether it is there, send
    /// what that returns and, if it is there, the message through
    /// [`crate::Body`] with these `lines`.
    Retrieve {
        /// Position among the entries.
        at: usize,
        /// How many lines of text; `None` is all.
        lines: Option<u32>,
    },
    /// Change the mailbox, then call [`Session::updated`].
    Update(Update),
    /// Send these bytes and close the connection.
    Close(Vec<u8>),
    /// Nothing, until bytes arrive.
    Wait,
}

/// How opening the mailbox went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Opened {
    /// These messages are in it.
    Entries(Vec<Entry>),
    /// It cannot be read now.
    Temporary,
}

#[derive(Debug)]
enum State {
    Greeting,
    Authorization {
        user: Option<Vec<u8>>,
    },
    /// A response of SASL is awaited from the client.
    Responding(Box<Exchange>),
    /// A verdict is awaited from inlookup.
    Asking(Box<Exchange>),
    Securing,
    Opening,
    Transaction(Maildrop),
    Retrieving {
        maildrop: Maildrop,
        at: usize,
        lines: Option<u32>,
    },
    Updating,
    Over,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    offer: Offer,
    state: State,
    input: Vec<u8>,
    seed: Vec<u8>,
    failures: u32,
    errors: u32,
}

impl Session {
    /// Opens a session. `seed` is random and at least
    /// [`sasl::server::SEED_BYTES_MIN`] bytes long.
    pub fn new(offer: Offer, seed: &[u8]) -> Self {
        Self {
            offer,
            state: State::Greeting,
            input: Vec::new(),
            seed: seed.to_vec(),
            failures: 0,
            errors: 0,
        }
    }

    /// Takes bytes from the client. Read them only after [`Step::Wait`], and
    /// what is kept here stays below [`LINE_BYTES_MAX`] and one read.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Goes one step on.
    pub fn step(&mut self) -> Step {
        match mem::replace(&mut self.state, State::Over) {
            State::Greeting => {
                self.state = State::Authorization { user: None };
                Step::Send(b"+OK POP3 Server Ready.\r\n".to_vec())
            }
            State::Over => Step::Close(Vec::new()),
            state
            @ (State::Authorization { .. } | State::Responding(_) | State::Transaction(_)) => {
                self.state = state;
                self.step_line()
            }
            state => {
                self.state = state;
                Step::Wait
            }
        }
    }

    /// Takes inlookup's answer to the last [`Step::Ask`].
    pub fn answer(&mut self, reply: Reply) -> Step {
        let State::Asking(mut exchange) = mem::replace(&mut self.state, State::Over) else {
            unreachable!("the driver answers only what was asked");
        };
        let step = exchange.answer(reply);
        self.authenticate(exchange, step)
    }

    /// Says that TLS is up. Nothing that came before counts any more.
    pub fn secured(&mut self) {
        debug_assert!(matches!(self.state, State::Securing));
        self.offer.encryption = Encryption::Active;
        self.input.clear();
        self.state = State::Authorization { user: None };
    }

    /// Takes the messages asked for with [`Step::Open`].
    pub fn opened(&mut self, opened: Opened) -> Step {
        debug_assert!(matches!(self.state, State::Opening));
        match opened {
            Opened::Entries(entries) => {
                self.state = State::Transaction(Maildrop::new(entries));
                Step::Send(b"+OK logged in.\r\n".to_vec())
            }
            Opened::Temporary => {
                self.state = State::Over;
                Step::Close(b"-ERR [SYS/TEMP] mailbox cannot be opened now.\r\n".to_vec())
            }
        }
    }

    /// Says whether the message of [`Step::Retrieve`] is there; the bytes to
    /// send before it, or instead of it.
    pub fn found(&mut self, there: bool) -> Vec<u8> {
        let State::Retrieving {
            mut maildrop,
            at,
            lines,
        } = mem::replace(&mut self.state, State::Over)
        else {
            unreachable!("the driver finds only what was asked for");
        };
        let reply = if there {
            if lines.is_none() {
                maildrop.mark_read(at);
            }
            match maildrop.entry(at as u32 + 1) {
                Some(entry) if lines.is_none() => format!("+OK {} octets\r\n", entry.size),
                _ => "+OK\r\n".to_owned(),
            }
        } else {
            "-ERR message is gone\r\n".to_owned()
        };
        self.state = State::Transaction(maildrop);
        reply.into_bytes()
    }

    /// Says whether the changes of [`Step::Update`] are on disk.
    pub fn updated(&mut self, done: bool) -> Step {
        debug_assert!(matches!(self.state, State::Updating));
        self.state = State::Over;
        Step::Close(if done {
            b"+OK Bye-bye.\r\n".to_vec()
        } else {
            // RFC 1939 §6: some or none of the messages were removed.
            b"-ERR [SYS/TEMP] some deleted messages not removed\r\n".to_vec()
        })
    }

    /// Says whether TLS protects the session.
    pub fn is_secure(&self) -> bool {
        self.offer.encryption == Encryption::Active
    }

    /// Reads one line, if there is one.
    fn step_line(&mut self) -> Step {
        let responding = matches!(self.state, State::Responding(_));
        let limit = if responding || self.input.get(..4).is_some_and(is_auth) {
            LINE_BYTES_MAX
        } else {
            COMMAND_BYTES_MAX + 2
        };
        let searched = &self.input[..self.input.len().min(limit)];
        let Some(end) = searched.iter().position(|&byte| byte == b'\n') else {
            if limit <= self.input.len() {
                return self.close(b"-ERR line too long\r\n");
            }
            return Step::Wait;
        };
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Responding(exchange) => self.respond(exchange, &line),
            State::Authorization { user } => match Command::parse(&line) {
                Ok(command) => self.authorization(command, user),
                Err(error) => self.syntax(State::Authorization { user }, error),
            },
            State::Transaction(maildrop) => match Command::parse(&line) {
                Ok(command) => self.transaction(command, maildrop),
                Err(error) => self.syntax(State::Transaction(maildrop), error),
            },
            state => unreachable!("no line is read in {state:?}"),
        }
    }

    fn say(&mut self, state: State, text: &str) -> Step {
        self.state = state;
        Step::Send(format!("{text}\r\n").into_bytes())
    }

    fn syntax(&mut self, state: State, error: SyntaxError) -> Step {
        self.mistake(state, &format!("-ERR {error}"))
    }

    fn mistake(&mut self, state: State, text: &str) -> Step {
        self.errors += 1;
        if ERRORS_MAX <= self.errors {
            return self.close(b"-ERR too many errors\r\n");
        }
        self.say(state, text)
    }

    fn close(&mut self, reply: &[u8]) -> Step {
        self.state = State::Over;
        self.input.clear();
        Step::Close(reply.to_vec())
    }
}

fn is_auth(start: &[u8]) -> bool {
    start.eq_ignore_ascii_case(b"AUTH")
}

#[cfg(test)]
mod tests;
