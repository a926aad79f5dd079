//! A session with its user's mail: goes on as far as it can without waiting
//! for the network.

use std::net::IpAddr;

use imap::{Answer, End, Question, Refusal, Session, Step};
use sasl::server::Refusal as LoginRefusal;
use wire::lookup::{Request, Service};

use crate::convert;
use crate::log::Record;
use crate::mail::Mail;

/// Bytes collected for the client before they are sent.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A session, its mail, and what is logged about it.
pub struct Seat {
    pub session: Session,
    pub record: Record,
    mail: Option<Mail>,
    ip: IpAddr,
}

/// Where a seat stopped.
pub enum Stop {
    /// Send these bytes, then go on.
    Send(Vec<u8>),
    /// Ask inlookup, then answer.
    Lookup(Request),
    /// Let the client wait, then answer that it is done.
    Delay,
    /// This needs the disk: call [`Seat::work`] on a blocking thread.
    Work(Question),
    /// Begin TLS.
    StartTls,
    /// Nothing to do until something happens.
    Wait,
    /// End.
    Close(End),
}

impl Seat {
    /// A seat for a new session.
    pub fn new(session: Session, record: Record, ip: IpAddr) -> Self {
        Self {
            session,
            record,
            mail: None,
            ip,
        }
    }

    /// Goes on without touching the disk.
    pub fn advance(&mut self) -> Stop {
        loop {
            match self.session.step(os::clock::unix_seconds()) {
                Step::Send(bytes) => return Stop::Send(bytes),
                Step::Ask(Question::Seed) => {
                    let mut seed = [0; 32];
                    os::clock::fill_random(&mut seed);
                    self.session.answer(Answer::Seed(seed));
                }
                Step::Ask(Question::Lookup(question)) => {
                    let ip = self.ip.to_string();
                    return Stop::Lookup(question.to_request(Service::Imap, &ip));
                }
                Step::Ask(Question::Failed {
                    user,
                    mechanism,
                    refusal,
                }) => {
                    self.failed(&user, mechanism, &refusal);
                    return Stop::Delay;
                }
                Step::Ask(question) => return Stop::Work(question),
                Step::StartTls => return Stop::StartTls,
                Step::Close(end) => return Stop::Close(end),
                Step::Wait => return Stop::Wait,
            }
        }
    }

    /// Answers a question from the disk and goes on, until much is to be sent
    /// or something else has to happen. Also gives what to send first.
    pub fn work(&mut self, question: Question) -> (Vec<u8>, Stop) {
        let mut question = question;
        let mut output = Vec::new();
        loop {
            let answer = self.answer(question);
            self.session.answer(answer);
            loop {
                match self.advance() {
                    Stop::Work(next) => {
                        question = next;
                        break;
                    }
                    Stop::Send(bytes) if output.len() + bytes.len() < OUTPUT_BYTES_MAX => {
                        output.extend(bytes);
                    }
                    stop => return (output, stop),
                }
            }
        }
    }

    /// Directories to watch while the client idles.
    pub fn watch_paths(&self) -> Option<[std::path::PathBuf; 2]> {
        self.mail.as_ref()?.watch_paths()
    }

    fn answer(&mut self, question: Question) -> Answer {
        let answer = match (question, &mut self.mail) {
            (Question::Enter { account, mechanism }, _) => match Mail::enter(&account) {
                Ok(mail) => {
                    self.mail = Some(mail);
                    self.record.login(&account.address, mechanism);
                    Answer::Done(Ok(()))
                }
                Err(error) => {
                    let reason = format!("cannot open the mailbox: {error}");
                    let user = account.address.as_bytes();
                    self.record.login_failed(user, mechanism, &reason);
                    Answer::Done(Err(match convert::refusal(&error) {
                        Refusal::OverQuota => Refusal::OverQuota,
                        _ => Refusal::Temporary,
                    }))
                }
            },
            (question, Some(mail)) => mail.answer(question),
            (question, None) => unreachable!("{question:?} before a login"),
        };
        if let Some(mail) = &mut self.mail {
            for text in mail.take_trouble() {
                self.record.trouble(&text);
            }
        }
        answer
    }

    fn failed(&self, user: &[u8], mechanism: &str, refusal: &LoginRefusal) {
        let reason = match refusal {
            LoginRefusal::Credentials => "credentials".to_owned(),
            LoginRefusal::Malformed => "malformed".to_owned(),
            LoginRefusal::Forbidden(text) => format!("forbidden: {text}"),
            LoginRefusal::Temporary(text) => format!("temporary: {text}"),
        };
        self.record.login_failed(user, mechanism, &reason);
    }
}
