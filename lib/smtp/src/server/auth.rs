//! AUTH (RFC 4954): the words around a SASL exchange.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::Mechanism;
use sasl::server::{self, Exchange, Refusal};
use text::log::safe;

use super::{
    AUTH_BYTES_MAX, AUTH_FAILURE_PAUSE, AUTH_FAILURES_MAX, Identity, Moment, Reply, Session, State,
    Step,
};

impl Session {
    /// The mechanisms EHLO names now: those that send the password itself
    /// only where nobody can listen.
    pub(super) fn offered_mechanisms(&self) -> Vec<Mechanism> {
        let mechanisms = self.peer.mechanisms.iter().copied();
        mechanisms
            .filter(|mechanism| !mechanism.sends_password() || self.is_private())
            .collect()
    }

    fn is_private(&self) -> bool {
        self.tls.is_some() || self.peer.is_loopback() || self.config.plaintext_auth
    }

    pub(super) fn auth(
        &mut self,
        mechanism: Option<Mechanism>,
        initial: Option<&[u8]>,
        now: &Moment,
    ) {
        if let Some(reply) = self.auth_out_of_order(mechanism) {
            self.mistake(reply);
            return;
        }
        let Some(mechanism) = mechanism else { return };
        // RFC 4954 §4: `=` is an initial response of no bytes.
        let initial = match initial {
            None => None,
            Some(b"=") => Some(Vec::new()),
            Some(text) => match STANDARD.decode(text) {
                Ok(bytes) => Some(bytes),
                Err(_) => {
                    self.mistake(Reply::AuthMalformed);
                    return;
                }
            },
        };
        let (exchange, step) = Exchange::start(mechanism, initial.as_deref(), &now.random);
        self.login(Box::new(exchange), step);
    }

    fn auth_out_of_order(&self, mechanism: Option<Mechanism>) -> Option<Reply> {
        if self.peer.mechanisms.is_empty() {
            return Some(Reply::NoAuth);
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Some(Reply::HelloFirst);
        }
        if self.identity.is_some() {
            return Some(Reply::AuthTwice);
        }
        if self.transaction.is_some() {
            return Some(Reply::AuthInMail);
        }
        match mechanism {
            Some(mechanism) if self.peer.mechanisms.contains(&mechanism) => {
                let exposed = mechanism.sends_password() && !self.is_private();
                exposed.then_some(Reply::AuthNeedsTls)
            }
            _ => Some(Reply::AuthMechanism),
        }
    }

    /// Reads the client's next response.
    pub(super) fn auth_line(&mut self, mut exchange: Box<Exchange>) -> bool {
        let Some(line) = self.line(AUTH_BYTES_MAX) else {
            if matches!(self.state, State::Ended) {
                return true;
            }
            self.state = State::Authenticating(exchange);
            return false;
        };
        if line == b"*" {
            self.mistake(Reply::AuthCancelled);
            return true;
        }
        match STANDARD.decode(&line) {
            Ok(response) => {
                let step = exchange.respond(&response);
                self.login(exchange, step);
            }
            Err(_) => self.mistake(Reply::AuthMalformed),
        }
        true
    }

    /// Does what the exchange wants next.
    pub(super) fn login(&mut self, exchange: Box<Exchange>, step: server::Step) {
        self.state = State::Ready;
        match step {
            server::Step::Challenge(challenge) => {
                self.send_line(&format!("334 {}", STANDARD.encode(challenge)));
                self.state = State::Authenticating(exchange);
            }
            server::Step::Ask(question) => {
                self.steps.push_back(Step::AskLogin(question));
                self.state = State::AskingLogin(exchange);
            }
            server::Step::Granted(account) => {
                self.identity = Some(Identity {
                    account: *account,
                    mechanism: exchange.mechanism(),
                });
                self.reply(Reply::Authenticated);
            }
            server::Step::Refused(refusal) => self.not_granted(&exchange, refusal),
        }
    }

    fn not_granted(&mut self, exchange: &Exchange, refusal: Refusal) {
        let (user, mechanism) = (safe(exchange.user()), exchange.mechanism());
        match refusal {
            Refusal::Malformed => self.mistake(Reply::AuthMalformed),
            Refusal::Temporary(why) => {
                self.log(format!(
                    "AUTH {mechanism} <{user}> cannot be checked: {why}"
                ));
                self.reply(Reply::AuthTemporary);
            }
            Refusal::Credentials => {
                self.log(format!("AUTH {mechanism} <{user}> failed"));
                self.auth_failed(Reply::AuthFailed, "");
            }
            Refusal::Forbidden(text) => {
                self.log(format!("AUTH {mechanism} <{user}> forbidden"));
                self.auth_failed(Reply::AuthForbidden, &text);
            }
        }
    }

    /// The pause slows guessing down; the limit ends it.
    fn auth_failed(&mut self, reply: Reply, detail: &str) {
        self.auth_failures += 1;
        self.steps.push_back(Step::Pause(AUTH_FAILURE_PAUSE));
        match self.auth_failures < AUTH_FAILURES_MAX {
            true => self.reply_with(reply, detail.as_bytes()),
            false => self.leave(Reply::TooManyFailures),
        }
    }
}
