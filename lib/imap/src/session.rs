//! One IMAP session as the server sees it, without a socket.
//!
//! The driver hands over bytes with [`Session::receive`], then calls
//! [`Session::step`] and does what it says until it says [`Step::Wait`].
//!
//! Invariants:
//! - While a question is open, or a command is worked on, no further command
//!   is read: answers come in the order of commands.
//! - Before a login, what a client can make us hold is bounded by
//!   [`GUEST_BYTES_MAX`], afterwards by [`COMMAND_BYTES_MAX`]; messages of
//!   APPEND pass through in pieces.

mod append;
mod auth;
mod fetch;
mod folders;
mod literals;
mod replies;
mod search;
mod selected;

use std::sync::Arc;

use crate::ask::{Answer, Question};
use crate::command::Command;
use crate::folder::FolderName;
use crate::input::{Event, Input};
use crate::mime::Part;
use crate::parse::{self, ParseError};
use crate::view::View;

/// Most bytes of a command before a login, literals included. Room for an ID
/// with all that RFC 2971 §3.3 allows: 30 fields of 30 and 1024 bytes.
pub const GUEST_BYTES_MAX: usize = 33 * 1024;
/// Most bytes of a command after a login, literals included.
pub const COMMAND_BYTES_MAX: usize = 512 * 1024;
/// Largest message APPEND takes unless the driver says otherwise.
pub const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Failed logins before the connection ends.
pub const LOGIN_FAILURES_MAX: u32 = 5;
/// Commands in a row that are none, before the connection ends.
pub const BAD_COMMANDS_MAX: u32 = 20;
/// When so much is waiting to be sent, the session waits for the client.
const OUTPUT_BYTES_MAX: usize = 128 * 1024;
/// A message up to this size is kept for the next FETCH of it, since clients
/// fetch large messages piece by piece.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a session is told at its beginning.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the connection is protected.
    pub security: Security,
    /// Whether passwords may cross a connection without TLS (loopback).
    pub plaintext_passwords: bool,
    /// Some user has a secret for CRAM-MD5.
    pub cram_md5: bool,
    /// Users have SCRAM-SHA-256 secrets.
    pub scram_sha_256: bool,
    /// Largest message APPEND takes.
    pub message_bytes_max: u64,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// Not at all, and it cannot be.
    None,
    /// Not yet: STARTTLS is offered.
    StartTls,
    /// By TLS.
    Tls,
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these bytes to the client.
    Send(Vec<u8>),
    /// Find this out or do it; then call [`Session::answer`].
    Ask(Question),
    /// Take the connection into TLS, then call [`Session::tls_started`].
    /// Everything was sent; bytes that arrived already and are not TLS are a
    /// reason to end the connection.
    StartTls,
    /// End the connection.
    Close(End),
    /// Nothing, until bytes arrive, something changes or the time is over.
    Wait,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The client said LOGOUT.
    Logout,
    /// We ended it: abuse, a limit, or the driver said so.
    Cut,
}

/// What a session has sent, for the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Bytes of headers.
    pub headers: u64,
    /// Bytes of bodies.
    pub body: u64,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    input: Input,
    output: Vec<u8>,
    phase: Phase,
    job: Job,
    question: Option<Question>,
    kept: Option<Message>,
    counters: Counters,
    now: i64,
    login_failures: u32,
    bad_commands: u32,
    utf8: bool,
}

/// A message that was read.
#[derive(Clone, Debug)]
struct Message {
    uid: u32,
    text: Arc<[u8]>,
    part: Arc<Part>,
}

#[derive(Debug)]
enum Phase {
    Guest,
    User(User),
    Selected(User, Box<View>),
    Over(End),
}

#[derive(Debug)]
struct User {
    address: String,
}

/// What is being worked on.
#[derive(Debug, Default)]
enum Job {
    #[default]
    None,
    Login(auth::Login),
    /// STARTTLS was answered.
    StartTls,
    Folders(folders::Job),
    Append(append::Job),
    Selected(selected::Job),
    Search(Box<search::Job>),
    Fetch(Box<fetch::Job>),
}

impl Session {
    /// Begins with the greeting.
    pub fn new(config: Config) -> Self {
        let mut session = Self {
            config,
            input: Input::default(),
            output: Vec::new(),
            phase: Phase::Guest,
            job: Job::None,
            question: None,
            kept: None,
            counters: Counters::default(),
            now: 0,
            login_failures: 0,
            bad_commands: 0,
            utf8: false,
        };
        let capabilities = session.capabilities();
        session.line(format_args!(
            "* OK [CAPABILITY {capabilities}] IndiMail ready"
        ));
        session
    }

    /// Takes bytes as they arrive.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Goes on, at most until something has to be sent, found out or waited
    /// for. `now` is in Unix seconds.
    pub fn step(&mut self, now: i64) -> Step {
        self.now = now;
        loop {
            if OUTPUT_BYTES_MAX <= self.output.len() {
                return self.flush();
            }
            if let Some(question) = self.question.take() {
                return Step::Ask(question);
            }
            if let Phase::Over(end) = self.phase {
                return match self.output.is_empty() {
                    true => Step::Close(end),
                    false => self.flush(),
                };
            }
            let went_on = match std::mem::take(&mut self.job) {
                Job::StartTls if self.output.is_empty() => return self.start_tls(),
                Job::StartTls => {
                    self.job = Job::StartTls;
                    return self.flush();
                }
                Job::Fetch(job) if job.is_runnable() => {
                    self.run_fetch(job);
                    true
                }
                Job::Search(job) if job.is_runnable() => {
                    self.run_search(job);
                    true
                }
                job => {
                    self.job = job;
                    self.read()
                }
            };
            if !went_on && self.question.is_none() {
                return match self.output.is_empty() {
                    true => Step::Wait,
                    false => self.flush(),
                };
            }
        }
    }

    /// Takes the answer to the last [`Step::Ask`].
    ///
    /// # Panics
    /// When nothing was asked, or something else: a mistake of the driver.
    pub fn answer(&mut self, answer: Answer) {
        match std::mem::take(&mut self.job) {
            Job::Login(job) => self.answer_login(job, answer),
            Job::Folders(job) => self.answer_folders(job, answer),
            Job::Append(job) => self.answer_append(job, answer),
            Job::Selected(job) => self.answer_selected(job, answer),
            Job::Search(job) => self.answer_search(job, answer),
            Job::Fetch(job) => self.answer_fetch(job, answer),
            Job::None | Job::StartTls => unreachable!("nothing was asked"),
        }
    }

    /// TLS has begun: nothing said before counts (RFC 3501 §6.2.1).
    pub fn tls_started(&mut self) {
        self.config.security = Security::Tls;
        self.login_failures = 0;
        self.input = Input::default();
    }

    /// Something in the open folder may have changed. Matters while
    /// [`Session::is_idling`].
    pub fn changed(&mut self) {
        if let Job::Selected(selected::Job::Idle { tag }) = &self.job
            && matches!(self.phase, Phase::Selected(..))
        {
            let job = selected::Job::IdleRefresh { tag: tag.clone() };
            self.ask(Job::Selected(job), Question::Refresh);
        }
    }

    /// Ends the session with a reason.
    pub fn bye(&mut self, reason: &str) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.line(format_args!("* BYE {reason}"));
            self.phase = Phase::Over(End::Cut);
        }
        self.question = None;
        self.job = Job::None;
    }

    /// The user, once somebody has logged in.
    pub fn user(&self) -> Option<&str> {
        match &self.phase {
            Phase::User(user) | Phase::Selected(user, _) => Some(&user.address),
            Phase::Guest | Phase::Over(_) => None,
        }
    }

    /// The open folder.
    pub fn folder(&self) -> Option<&FolderName> {
        match &self.phase {
            Phase::Selected(_, view) => Some(&view.folder),
            _ => None,
        }
    }

    /// Whether the client wants to be told about changes at once.
    pub fn is_idling(&self) -> bool {
        matches!(self.job, Job::Selected(selected::Job::Idle { .. }))
    }

    /// What was sent.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Reads on; `false` when there is nothing to go on with.
    fn read(&mut self) -> bool {
        let bytes_max = match self.phase {
            Phase::Guest => GUEST_BYTES_MAX,
            _ => COMMAND_BYTES_MAX,
        };
        match &self.job {
            Job::None => {}
            Job::Login(login) if login.awaits_response() => {}
            Job::Append(job) if job.awaits_data() => {}
            Job::Selected(selected::Job::Idle { .. }) => {}
            // A question is open.
            _ => return false,
        }
        match self.input.next(bytes_max) {
            Event::More => return false,
            Event::TooLong => self.bye("line or command is too long"),
            Event::Command(text) => self.take_line(&text),
            Event::Literal(literal) => self.take_literal(literal, bytes_max),
            Event::Chunk(bytes) => self.take_chunk(bytes),
            Event::StreamEnd(rest) => self.take_stream_end(&rest),
        }
        true
    }

    fn take_line(&mut self, text: &[u8]) {
        match std::mem::take(&mut self.job) {
            Job::Login(login) => self.take_response(login, text),
            Job::Selected(selected::Job::Idle { tag }) => {
                if text.eq_ignore_ascii_case(b"DONE") {
                    self.finish(&tag, "OK IDLE done");
                } else {
                    self.bad(&tag, "expected DONE");
                }
            }
            _ => self.take_command(text),
        }
    }

    fn take_command(&mut self, text: &[u8]) {
        let Some((tag, rest)) = parse::tag(text) else {
            return self.bad("*", "a command begins with a tag");
        };
        match parse::command(rest) {
            Ok(command) => {
                self.bad_commands = 0;
                self.dispatch(tag, command);
            }
            Err(ParseError::Syntax(text)) => self.bad(&tag, text),
            Err(ParseError::Charset) => {
                self.finish(
                    &tag,
                    "NO [BADCHARSET (US-ASCII UTF-8)] character set unknown",
                );
            }
        }
    }

    fn dispatch(&mut self, tag: String, command: Command) {
        match command {
            Command::Capability => {
                let capabilities = self.capabilities();
                self.line(format_args!("* CAPABILITY {capabilities}"));
                self.finish(&tag, "OK CAPABILITY done");
            }
            Command::Noop => self.noop(tag, "OK NOOP done"),
            Command::Logout => {
                self.line(format_args!("* BYE see you"));
                self.line(format_args!("{tag} OK LOGOUT done"));
                self.phase = Phase::Over(End::Logout);
            }
            Command::Id => {
                self.line(format_args!("* ID (\"name\" \"IndiMail\")"));
                self.finish(&tag, "OK ID done");
            }
            command => match self.phase {
                Phase::Guest => self.guest_command(tag, command),
                Phase::User(_) => self.user_command(tag, command),
                Phase::Selected(..) => self.selected_command(tag, command),
                Phase::Over(_) => {}
            },
        }
    }

    fn guest_command(&mut self, tag: String, command: Command) {
        match command {
            Command::StartTls => match self.config.security {
                Security::StartTls => {
                    self.finish(&tag, "OK begin TLS");
                    self.job = Job::StartTls;
                }
                Security::None => self.bad(&tag, "TLS is not available"),
                Security::Tls => self.bad(&tag, "TLS is active already"),
            },
            Command::Login { user, password } => self.login(tag, user, password),
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(tag, &mechanism, initial);
            }
            _ => self.bad(&tag, "log in first"),
        }
    }

    fn user_command(&mut self, tag: String, command: Command) {
        match command {
            Command::StartTls | Command::Login { .. } | Command::Authenticate { .. } => {
                self.bad(&tag, "you are logged in already");
            }
            Command::Idle => self.idle(tag),
            command => {
                if let Some(command) = self.folder_command(&tag, command) {
                    drop(command);
                    self.bad(&tag, "select a folder first");
                }
            }
        }
    }

    fn start_tls(&mut self) -> Step {
        if !self.input.is_empty() {
            // Commands pipelined after STARTTLS came in the clear: whoever
            // sent them wants them taken for protected ones.
            self.phase = Phase::Over(End::Cut);
            return Step::Close(End::Cut);
        }
        Step::StartTls
    }

    fn capabilities(&self) -> String {
        let mut names = vec!["IMAP4rev1", "LITERAL+", "SASL-IR"];
        if matches!(self.phase, Phase::Guest) {
            if self.config.security == Security::StartTls {
                names.push("STARTTLS");
            }
            if self.may_send_password() {
                names.extend(["AUTH=PLAIN", "AUTH=LOGIN"]);
            } else {
                names.push("LOGINDISABLED");
            }
            if self.config.scram_sha_256 {
                names.push("AUTH=SCRAM-SHA-256");
            }
            if self.config.cram_md5 {
                names.push("AUTH=CRAM-MD5");
            }
        }
        // Before login too: some clients ask once and remember.
        names.extend([
            "ID",
            "ENABLE",
            "NAMESPACE",
            "CHILDREN",
            "UIDPLUS",
            "MOVE",
            "IDLE",
            "UNSELECT",
            "SPECIAL-USE",
            "LIST-EXTENDED",
            "LIST-STATUS",
            "QUOTA",
            "ESEARCH",
            "WITHIN",
            "SORT",
            "THREAD=ORDEREDSUBJECT",
            "THREAD=REFERENCES",
            "UTF8=ACCEPT",
        ]);
        names.join(" ")
    }

    fn may_send_password(&self) -> bool {
        self.config.security == Security::Tls || self.config.plaintext_passwords
    }

    /// Asks the driver; its answer goes to `job`.
    fn ask(&mut self, job: Job, question: Question) {
        self.job = job;
        self.question = Some(question);
    }

    fn view(&self) -> &View {
        match &self.phase {
            Phase::Selected(_, view) => view,
            _ => unreachable!("commands on messages need a selected folder"),
        }
    }

    fn view_mut(&mut self) -> &mut View {
        match &mut self.phase {
            Phase::Selected(_, view) => view,
            _ => unreachable!("commands on messages need a selected folder"),
        }
    }

    /// A message as it was read, kept for the next command if it is small.
    fn keep(&mut self, uid: u32, text: Vec<u8>) -> Message {
        let message = Message {
            uid,
            part: Arc::new(crate::mime::parse(&text)),
            text: text.into(),
        };
        if message.text.len() <= KEPT_BYTES_MAX {
            self.kept = Some(message.clone());
        }
        message
    }

    fn kept(&self, uid: u32) -> Option<Message> {
        self.kept.clone().filter(|message| message.uid == uid)
    }
}
