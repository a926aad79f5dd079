//! The AUTHORIZATION state: STLS, USER and PASS, AUTH.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::Mechanism;
use sasl::server::{Exchange, Refusal};

use super::{Encryption, FAILURES_MAX, Session, State, Step};
use crate::capability::Capabilities;
use crate::command::Command;

impl Session {
    pub(super) fn authorization(&mut self, command: Command, user: Option<Vec<u8>>) -> Step {
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

    pub(super) fn respond(&mut self, mut exchange: Box<Exchange>, line: &[u8]) -> Step {
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

    pub(super) fn authenticate(
        &mut self,
        exchange: Box<Exchange>,
        step: sasl::server::Step,
    ) -> Step {
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

    pub(super) fn capabilities(&self) -> Vec<u8> {
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
}
