//! One session as the server sees it, without a socket.
//!
//! The driver hands over bytes with [`Session::receive`], then calls
//! [`Session::step`] until it says [`Step::Wait`]. While a question is open no
//! further command is read, so a client that pipelines gets its replies in
//! the order of its commands.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::Mechanism;
use sasl::server::{Exchange, Question, Refusal};
use wire::lookup::{Account, Reply};

use crate::capability::Capabilities;
use crate::command::{COMMAND_BYTES_MAX, Command, SyntaxError};
use crate::maildrop::{Entry, Maildrop, Update};

/// Longest line: a response of SASL in base64.
pub const LINE_BYTES_MAX: usize = 12 * 1024 + 2;

/// Bytes that may wait for their turn, so that pipelining has an end.
const INPUT_BYTES_MAX: usize = 64 * 1024;

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

    /// Takes bytes from the client.
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

    /// Says whether more bytes may be read from the client now; a client that
    /// sends ahead too far waits.
    pub fn has_room(&self) -> bool {
        self.input.len() < INPUT_BYTES_MAX
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

    fn authorization(&mut self, command: Command, user: Option<Vec<u8>>) -> Step {
        let next = State::Authorization { user: None };
        match command {
            Command::Quit => self.close(b"+OK Better luck next time.\r\n"),
            Command::Capa => {
                self.state = State::Authorization { user };
                Step::Send(self.capabilities())
            }
            Command::Utf8 => self.say(State::Authorization { user }, "+OK UTF-8 it is"),
            Command::Noop => self.say(State::Authorization { user }, "+OK"),
            Command::Stls => self.stls(),
            Command::User(_) | Command::Pass(_) if !self.offer.pass => {
                self.mistake(next, "-ERR USER and PASS are disabled, use AUTH.")
            }
            Command::User(_) | Command::Pass(_) if !self.takes_passwords() => {
                self.mistake(next, "-ERR TLS required to log in.")
            }
            Command::User(user) => self.say(
                State::Authorization { user: Some(user) },
                "+OK Password required.",
            ),
            Command::Pass(password) => match user {
                Some(user) => {
                    // The same questions as AUTH PLAIN asks.
                    let response = [&b"\0"[..], &user, b"\0", &password].concat();
                    self.exchange(Mechanism::Plain, Some(&response))
                }
                None => self.mistake(next, "-ERR USER first."),
            },
            Command::AuthList => {
                self.state = State::Authorization { user };
                let names = self.mechanisms().into_iter().map(|m| format!("{m}\r\n"));
                let names: String = names.collect();
                Step::Send(format!("+OK\r\n{names}.\r\n").into_bytes())
            }
            Command::Auth(name, initial) => self.auth(&name, initial.as_deref()),
            _ => self.mistake(State::Authorization { user }, "-ERR log in first."),
        }
    }

    fn transaction(&mut self, command: Command, mut maildrop: Maildrop) -> Step {
        const ABSENT: &str = "-ERR no such message";
        let mut retrieve = None;
        let reply = match command {
            Command::Quit => {
                self.state = State::Updating;
                return Step::Update(maildrop.update());
            }
            Command::Capa => {
                self.state = State::Transaction(maildrop);
                return Step::Send(self.capabilities());
            }
            Command::Noop => "+OK".to_owned(),
            Command::Rset => {
                maildrop.reset();
                "+OK".to_owned()
            }
            Command::Stat => {
                let (count, bytes) = maildrop.total();
                format!("+OK {count} {bytes}")
            }
            Command::Dele(number) if maildrop.delete(number) => "+OK Deleted.".to_owned(),
            Command::List(Some(number)) => match maildrop.entry(number) {
                Some(entry) => format!("+OK {number} {}", entry.size),
                None => ABSENT.to_owned(),
            },
            Command::Uidl(Some(number)) => match maildrop.entry(number) {
                Some(entry) => format!("+OK {number} {}", entry.unique_id),
                None => ABSENT.to_owned(),
            },
            Command::List(None) => listing(&maildrop, |entry| entry.size.to_string()),
            Command::Uidl(None) => listing(&maildrop, |entry| entry.unique_id.clone()),
            Command::Retr(number) => {
                retrieve = maildrop.position(number).map(|at| (at, None));
                ABSENT.to_owned()
            }
            Command::Top(number, lines) => {
                retrieve = maildrop.position(number).map(|at| (at, Some(lines)));
                ABSENT.to_owned()
            }
            Command::Dele(_) => ABSENT.to_owned(),
            Command::User(_) | Command::Pass(_) | Command::Auth(..) | Command::AuthList => {
                "-ERR logged in already".to_owned()
            }
            Command::Stls | Command::Utf8 => "-ERR not after login".to_owned(),
        };
        if let Some((at, lines)) = retrieve {
            self.state = State::Retrieving {
                maildrop,
                at,
                lines,
            };
            return Step::Retrieve { at, lines };
        }
        self.say(State::Transaction(maildrop), &reply)
    }

    /// RFC 2595 §4. A client waits for the reply before it goes on, so bytes
    /// that are here already were put in by somebody else.
    fn stls(&mut self) -> Step {
        if self.offer.encryption != Encryption::Offered {
            let state = State::Authorization { user: None };
            return self.mistake(state, "-ERR TLS is not possible here.");
        }
        if !self.input.is_empty() {
            return self.close(b"-ERR nothing may follow STLS.\r\n");
        }
        self.state = State::Securing;
        Step::Secure(b"+OK Begin SSL/TLS negotiation now.\r\n".to_vec())
    }

    /// RFC 5034 §4.
    fn auth(&mut self, name: &[u8], initial: Option<&[u8]>) -> Step {
        let state = State::Authorization { user: None };
        let Some(mechanism) = Mechanism::parse(name) else {
            return self.mistake(state, "-ERR unknown mechanism.");
        };
        if mechanism.sends_password() && !self.takes_passwords() {
            return self.mistake(state, "-ERR TLS required to log in.");
        }
        if !self.mechanisms().contains(&mechanism) {
            return self.mistake(state, "-ERR unknown mechanism.");
        }
        let initial = match initial {
            None => None,
            Some(b"=") => Some(Vec::new()),
            Some(text) => match STANDARD.decode(text) {
                Ok(response) => Some(response),
                Err(_) => return self.mistake(state, "-ERR bad base64."),
            },
        };
        self.exchange(mechanism, initial.as_deref())
    }

    fn exchange(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) -> Step {
        let (exchange, step) = Exchange::start(mechanism, initial, &self.seed);
        // A challenge is used once.
        for byte in self.seed.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        self.authenticate(Box::new(exchange), step)
    }

    fn respond(&mut self, mut exchange: Box<Exchange>, line: &[u8]) -> Step {
        let state = State::Authorization { user: None };
        if line == b"*" {
            return self.mistake(state, "-ERR login cancelled.");
        }
        match STANDARD.decode(line) {
            Ok(response) => {
                let step = exchange.respond(&response);
                self.authenticate(exchange, step)
            }
            Err(_) => self.mistake(state, "-ERR bad base64."),
        }
    }

    fn authenticate(&mut self, exchange: Box<Exchange>, step: sasl::server::Step) -> Step {
        match step {
            sasl::server::Step::Challenge(challenge) => {
                self.state = State::Responding(exchange);
                let text = STANDARD.encode(challenge);
                Step::Send(format!("+ {text}\r\n").into_bytes())
            }
            sasl::server::Step::Ask(question) => {
                self.state = State::Asking(exchange);
                Step::Ask(question)
            }
            sasl::server::Step::Granted(account) => {
                self.state = State::Opening;
                Step::Open(account)
            }
            sasl::server::Step::Refused(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Step {
        let text = match refusal {
            Refusal::Credentials => "-ERR [AUTH] Login failed.".to_owned(),
            Refusal::Forbidden(text) => {
                let text: String = text.chars().filter(|c| !c.is_control()).collect();
                format!("-ERR [AUTH] {text}")
            }
            Refusal::Malformed => "-ERR malformed response.".to_owned(),
            Refusal::Temporary(_) => "-ERR [SYS/TEMP] Temporary failure, try later.".to_owned(),
        };
        let reply = format!("{text}\r\n").into_bytes();
        self.failures += 1;
        if FAILURES_MAX <= self.failures {
            self.state = State::Over;
        } else {
            self.state = State::Authorization { user: None };
        }
        Step::SendLate(reply)
    }

    fn capabilities(&self) -> Vec<u8> {
        Capabilities {
            mechanisms: &self.mechanisms(),
            user: self.offer.pass && self.takes_passwords(),
            stls: self.offer.encryption == Encryption::Offered,
        }
        .reply()
    }

    fn mechanisms(&self) -> Vec<Mechanism> {
        let all = self.offer.mechanisms.iter().copied();
        all.filter(|mechanism| self.takes_passwords() || !mechanism.sends_password())
            .collect()
    }

    fn takes_passwords(&self) -> bool {
        self.is_secure() || self.offer.plaintext
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

fn listing(maildrop: &Maildrop, value: impl Fn(&Entry) -> String) -> String {
    let mut text = "+OK\r\n".to_owned();
    for (number, entry) in maildrop.present() {
        text.push_str(&format!("{number} {}\r\n", value(entry)));
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests;
