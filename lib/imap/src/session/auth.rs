//! LOGIN and AUTHENTICATE.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sasl::Mechanism;
use sasl::server::{Exchange, Question as SaslQuestion, Refusal as SaslRefusal, Step as SaslStep};
use wire::lookup::{Account, Login as Verdict, Reply};

use super::{Job, LOGIN_FAILURES_MAX, Phase, Session, User};
use crate::ask::{Answer, Question};

/// Where a login stands.
#[derive(Debug)]
pub(super) struct Login {
    tag: String,
    mechanism: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// LOGIN: the verdict is awaited.
    Command { user: Vec<u8> },
    /// AUTHENTICATE: randomness is awaited.
    Seed {
        mechanism: Mechanism,
        initial: Option<Vec<u8>>,
    },
    /// AUTHENTICATE: the client's response is awaited.
    Response(Box<Exchange>),
    /// AUTHENTICATE: inlookup's answer is awaited.
    Lookup(Box<Exchange>),
    /// The failure is being logged.
    Failed { text: String },
    /// The mail is being opened.
    Entering { address: String },
}

impl Login {
    pub(super) fn awaits_response(&self) -> bool {
        matches!(self.state, State::Response(_))
    }
}

impl Session {
    pub(super) fn login(&mut self, tag: String, user: Vec<u8>, password: Vec<u8>) {
        if !self.may_send_password() {
            return self.finish(&tag, "NO [PRIVACYREQUIRED] not without TLS");
        }
        let login = Login {
            tag,
            mechanism: "LOGIN",
            state: State::Command { user: user.clone() },
        };
        if user.is_empty() || password.is_empty() {
            return self.fail(login.tag, "LOGIN", user, SaslRefusal::Malformed);
        }
        let question = SaslQuestion::Password { user, password };
        self.ask(Job::Login(login), Question::Lookup(question));
    }

    pub(super) fn authenticate(&mut self, tag: String, name: &str, initial: Option<Vec<u8>>) {
        let (mechanism, name) = match name {
            "PLAIN" => (Mechanism::Plain, "PLAIN"),
            "LOGIN" => (Mechanism::Login, "LOGIN"),
            "CRAM-MD5" if self.config.cram_md5 => (Mechanism::CramMd5, "CRAM-MD5"),
            "SCRAM-SHA-256" if self.config.scram_sha_256 => {
                (Mechanism::ScramSha256, "SCRAM-SHA-256")
            }
            _ => return self.finish(&tag, "NO [CANNOT] mechanism is not available"),
        };
        let sends_password = matches!(mechanism, Mechanism::Plain | Mechanism::Login);
        if sends_password && !self.may_send_password() {
            return self.finish(&tag, "NO [PRIVACYREQUIRED] not without TLS");
        }
        let initial = match initial.as_deref() {
            None => None,
            // RFC 4959 §3: `=` is an empty response.
            Some(b"=") => Some(Vec::new()),
            Some(text) => match STANDARD.decode(text) {
                Ok(response) => Some(response),
                Err(_) => return self.bad(&tag, "response is not in base64"),
            },
        };
        let login = Login {
            tag,
            mechanism: name,
            state: State::Seed { mechanism, initial },
        };
        self.ask(Job::Login(login), Question::Seed);
    }

    /// A line of the client in the middle of AUTHENTICATE.
    pub(super) fn take_response(&mut self, login: Login, line: &[u8]) {
        let State::Response(mut exchange) = login.state else {
            unreachable!("a response was awaited");
        };
        if line == b"*" {
            return self.bad(&login.tag, "AUTHENTICATE cancelled");
        }
        match STANDARD.decode(line) {
            Ok(response) => {
                let step = exchange.respond(&response);
                self.sasl_step(login.tag, login.mechanism, exchange, step);
            }
            Err(_) => self.bad(&login.tag, "response is not in base64"),
        }
    }

    pub(super) fn answer_login(&mut self, login: Login, answer: Answer) {
        let Login {
            tag,
            mechanism,
            state,
        } = login;
        match (state, answer) {
            (
                State::Seed {
                    mechanism: sasl,
                    initial,
                },
                Answer::Seed(seed),
            ) => {
                let (exchange, step) = Exchange::start(sasl, initial.as_deref(), &seed);
                self.sasl_step(tag, mechanism, Box::new(exchange), step);
            }
            (State::Lookup(mut exchange), Answer::Lookup(reply)) => {
                let step = exchange.answer(reply);
                self.sasl_step(tag, mechanism, exchange, step);
            }
            (State::Command { user }, Answer::Lookup(reply)) => match reply {
                Reply::Login(Verdict::Granted(account)) => self.enter(tag, mechanism, account),
                Reply::Login(Verdict::Refused) => {
                    self.fail(tag, mechanism, user, SaslRefusal::Credentials);
                }
                Reply::Login(Verdict::Forbidden(text)) => {
                    self.fail(tag, mechanism, user, SaslRefusal::Forbidden(text));
                }
                Reply::Temporary(text) => {
                    self.fail(tag, mechanism, user, SaslRefusal::Temporary(text));
                }
                _ => {
                    let text = "inlookup answered another question".to_owned();
                    self.fail(tag, mechanism, user, SaslRefusal::Temporary(text));
                }
            },
            (State::Failed { text }, Answer::Done(_)) => {
                self.finish(&tag, &format!("NO {text}"));
                self.login_failures += 1;
                if LOGIN_FAILURES_MAX <= self.login_failures {
                    self.bye("too many failed logins");
                }
            }
            (State::Entering { address }, Answer::Done(Ok(()))) => {
                self.phase = Phase::User(User { address });
                let capabilities = self.capabilities();
                self.finish(&tag, &format!("OK [CAPABILITY {capabilities}] logged in"));
            }
            (State::Entering { .. }, Answer::Done(Err(refusal))) => self.refuse(&tag, refusal),
            (state, answer) => unreachable!("{answer:?} for a login in {state:?}"),
        }
    }

    fn sasl_step(
        &mut self,
        tag: String,
        mechanism: &'static str,
        exchange: Box<Exchange>,
        step: SaslStep,
    ) {
        match step {
            SaslStep::Challenge(challenge) => {
                self.line(format_args!("+ {}", STANDARD.encode(challenge)));
                self.job = Job::Login(Login {
                    tag,
                    mechanism,
                    state: State::Response(exchange),
                });
            }
            SaslStep::Ask(question) => {
                let login = Login {
                    tag,
                    mechanism,
                    state: State::Lookup(exchange),
                };
                self.ask(Job::Login(login), Question::Lookup(question));
            }
            SaslStep::Granted(account) => self.enter(tag, mechanism, *account),
            SaslStep::Refused(refusal) => {
                let user = exchange.user().to_vec();
                self.fail(tag, mechanism, user, refusal);
            }
        }
    }

    fn enter(&mut self, tag: String, mechanism: &'static str, account: Account) {
        let login = Login {
            tag,
            mechanism,
            state: State::Entering {
                address: account.address.clone(),
            },
        };
        let account = Box::new(account);
        self.ask(Job::Login(login), Question::Enter { account, mechanism });
    }

    fn fail(&mut self, tag: String, mechanism: &'static str, user: Vec<u8>, refusal: SaslRefusal) {
        // RFC 5530 §3; whether the user exists is never said.
        let text = match &refusal {
            SaslRefusal::Credentials => "[AUTHENTICATIONFAILED] wrong user or password".to_owned(),
            SaslRefusal::Malformed => "[AUTHENTICATIONFAILED] response is malformed".to_owned(),
            SaslRefusal::Forbidden(text) => {
                format!(
                    "[AUTHORIZATIONFAILED] {}",
                    text::log::printable(text.as_bytes(), 200)
                )
            }
            SaslRefusal::Temporary(_) => "[UNAVAILABLE] cannot check passwords now".to_owned(),
        };
        let login = Login {
            tag,
            mechanism,
            state: State::Failed { text },
        };
        let question = Question::Failed {
            user,
            mechanism,
            refusal,
        };
        self.ask(Job::Login(login), question);
    }
}
