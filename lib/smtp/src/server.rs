//! One SMTP session as the server sees it (RFC 5321), without a socket.
//!
//! The driver hands over bytes with [`Session::receive`], then calls
//! [`Session::step`] and does what it says until it says [`Step::Wait`].
//! Questions are answered with [`Session::answer`] before the next step.
//! Nothing here reads a clock, a file or the environment.
//!
//! Invariants:
//! - While a question is open no further command is read, so a client that
//!   pipelines gets its replies in the order of its commands, one each.
//! - Nothing but CR LF `.` CR LF ends DATA, and nothing but its size a BDAT.
//! - What was said before TLS is forgotten when TLS starts.
//! - 250 for a message is sent only for [`Answer::Queued`].

mod auth;
mod bounces;
mod command;
mod config;
mod data;
mod finding;
mod forged;
mod hello;
mod outside;
mod path;
mod queue_reply;
mod recipient;
mod record;
mod reply;
mod sender;
mod step;
mod transfer;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;

use sasl::Mechanism;
use sasl::server::Exchange;
use wire::dsn::{Dsn, Wish};
use wire::lookup;
use wire::trace::TraceId;
use wire::verify::Spf;

pub use bounces::Batv;
pub use command::{AUTH_BYTES_MAX, COMMAND_BYTES_MAX};
pub use config::*;
pub use finding::Finding;
pub use outside::{Outside, SpfPolicy};
pub use queue_reply::{Permanence, of_queue_code};
pub use reply::Reply;
pub use step::{Answer, Held, Mailbox, Note, Step};

use command::Command;
use finding::Findings;
use outside::{Beginning, Waiting};
use transfer::Transfer;
use turn::Turn;

/// A session.
#[derive(Debug)]
pub struct Session {
    /// What holds now: `base`, or what a rule made of it for a transaction.
    config: Arc<Config>,
    base: Arc<Config>,
    peer: Peer,
    tls: Option<Tls>,
    hello: Option<Hello>,
    identity: Option<Identity>,
    transaction: Option<Transaction>,
    state: State,
    input: Vec<u8>,
    steps: VecDeque<Step>,
    errors: u32,
    idle_commands: u32,
    invalid_recipients: u32,
    auth_failures: u32,
    findings: Findings,
    has_quit: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing has been said.
    Start,
    /// The client must be silent for a while.
    Listening,
    /// Commands are read.
    Ready,
    /// A response of AUTH is read.
    Authenticating(Box<Exchange>),
    /// inlookup has been asked.
    AskingLogin(Box<Exchange>),
    /// A rule wants other settings for this MAIL.
    AskingPolicy(Vec<u8>),
    /// Whether this HELO name exists has been asked.
    AskingHello(Vec<u8>, bool),
    /// Whether the sender's domain exists has been asked.
    AskingDomain(Box<Waiting>),
    /// Whether the sender is one of us has been asked.
    AskingMember(Box<Waiting>),
    /// SPF of the sender has been asked for.
    AskingSpf(Box<Waiting>),
    /// The greylisting server has been asked.
    AskingGrey(Beginning),
    /// The mailbox of this recipient has been asked for.
    AskingMailbox(Vec<u8>, Wish),
    /// Whether this sender logged in elsewhere has been asked.
    AskingRelay(Vec<u8>, Wish),
    /// Whether mail is held for these domains has been asked.
    AskingHeld(Turn, Vec<Vec<u8>>),
    /// The queue has been asked to begin.
    Beginning(Transfer),
    /// The message arrives.
    Receiving(Transfer),
    /// What is to be said about the message has been asked.
    AskingVerdict(Transfer),
    /// The queue has been asked to commit.
    Committing(Transfer),
    /// Octets of a BDAT nobody wants are read; then the reply goes out.
    Skipping { left: u64, reply: Reply },
    /// The handshake is under way.
    Securing,
    /// Closed.
    Ended,
}

/// What the client called itself.
#[derive(Debug)]
struct Hello {
    name: Vec<u8>,
    /// EHLO, not HELO.
    extended: bool,
}

/// Who logged in.
#[derive(Debug)]
struct Identity {
    account: lookup::Account,
    mechanism: Mechanism,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
struct Transaction {
    trace: TraceId,
    sender: Vec<u8>,
    recipients: Vec<Recipient>,
    utf8: bool,
    /// What SPF said.
    spf: Option<Spf>,
    /// relaymailfrom: for this transaction only.
    may_relay: bool,
    /// The sender is blackholed.
    discarded: bool,
    /// A message is arriving by BDAT.
    chunks: Option<Box<Transfer>>,
    /// A BDAT failed; only RSET helps.
    chunks_failed: bool,
    /// What the sender wants to be told.
    dsn: Dsn,
    /// Bytes that takes in the envelope.
    wish_bytes: usize,
    /// What a filter said about the message, for the log.
    judgement: String,
}

#[derive(Debug)]
struct Recipient {
    address: Vec<u8>,
    /// Its domain is in rcpthosts.
    local: bool,
    /// Blackholed: accepted, never queued.
    discarded: bool,
}

impl Session {
    /// A session with a client that just connected; `tls` when the connection
    /// is encrypted from its start.
    pub fn new(config: Arc<Config>, peer: Peer, tls: Option<Tls>) -> Self {
        Self {
            base: Arc::clone(&config),
            config,
            peer,
            tls,
            hello: None,
            identity: None,
            transaction: None,
            state: State::Start,
            input: Vec::new(),
            steps: VecDeque::new(),
            errors: 0,
            idle_commands: 0,
            invalid_recipients: 0,
            auth_failures: 0,
            findings: Findings::default(),
            has_quit: false,
        }
    }

    /// How the client wants to log in, while inlookup is asked.
    pub fn login_mechanism(&self) -> Option<Mechanism> {
        match &self.state {
            State::AskingLogin(exchange) => Some(exchange.mechanism()),
            _ => None,
        }
    }

    /// The settings that hold now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many bytes [`Session::receive`] takes now.
    pub fn room(&self) -> usize {
        INPUT_BYTES_MAX - self.input.len()
    }

    /// Takes bytes from the client, at most [`Session::room`].
    pub fn receive(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        if !matches!(self.state, State::Ended | State::Securing) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Goes on until there is something to do.
    pub fn step(&mut self, now: &Moment) -> Step {
        while self.may_collect() && self.advance(now) {}
        self.steps.pop_front().unwrap_or(Step::Wait)
    }

    /// Takes the answer to the last step that asked.
    pub fn answer(&mut self, answer: Answer, now: &Moment) {
        match (std::mem::replace(&mut self.state, State::Ready), answer) {
            (State::AskingMailbox(address, wish), Answer::Mailbox(mailbox)) => {
                self.mailbox(address, wish, mailbox);
            }
            (State::AskingRelay(address, wish), Answer::Relay(answer)) => {
                self.relay_answered(address, wish, answer);
            }
            (State::AskingHeld(turn, nodes), Answer::Held(held)) => {
                self.held_answered(turn, &nodes, held);
            }
            (State::AskingPolicy(argument), Answer::Policy(config)) => {
                self.mail_with(&argument, config, now);
            }
            (State::AskingLogin(mut exchange), Answer::Login(reply)) => {
                let step = exchange.answer(*reply);
                self.login(exchange, step);
            }
            (State::AskingMember(waiting), Answer::Mailbox(mailbox)) => {
                self.member_answered(*waiting, mailbox);
            }
            (State::AskingHello(name, extended), Answer::Verified(answer)) => {
                self.hello_answered(&name, extended, *answer);
            }
            (State::AskingDomain(waiting), Answer::Verified(answer)) => {
                self.domain_answered(*waiting, *answer);
            }
            (State::AskingSpf(waiting), Answer::Verified(answer)) => {
                self.spf_answered(*waiting, *answer);
            }
            (State::AskingGrey(beginning), Answer::Verified(answer)) => {
                self.grey_answered(beginning, *answer, now);
            }
            (State::AskingVerdict(transfer), Answer::Verified(answer)) => {
                self.message_answered(transfer, *answer);
            }
            (State::Beginning(transfer), Answer::Begun) => self.begun(transfer),
            (State::Beginning(transfer), Answer::Refused { code, text }) => {
                self.not_begun(transfer, code, &text);
            }
            (State::Committing(transfer), Answer::Queued { qp }) => {
                self.queued(&transfer, qp, now);
            }
            (State::Committing(transfer), Answer::Refused { code, text }) => {
                self.refused(&transfer, code, &text);
            }
            (state, answer) => {
                unreachable!("the driver answers what was asked, not {answer:?} in {state:?}")
            }
        }
    }

    /// Who has logged in.
    pub fn logged_in(&self) -> Option<&str> {
        let identity = self.identity.as_ref()?;
        Some(&identity.account.address)
    }

    /// What a filter says about the message that is being committed: words for
    /// the log. To be called before the answer.
    pub fn judged(&mut self, words: String) {
        if let Some(transaction) = &mut self.transaction {
            transaction.judgement = words;
        }
    }

    /// The handshake asked for by [`Step::StartTls`] is done. RFC 3207 §4.2:
    /// everything learned before is forgotten.
    pub fn tls_started(&mut self, tls: Tls) {
        self.tls = Some(tls);
        self.config = Arc::clone(&self.base);
        self.hello = None;
        self.identity = None;
        self.transaction = None;
        self.input.clear();
        self.state = State::Ready;
    }

    /// Goes on as if this user had logged in: for explanations, where nobody
    /// has a password.
    pub fn assume_login(&mut self, account: lookup::Account) {
        let mechanism = Mechanism::Plain;
        self.identity = Some(Identity { account, mechanism });
    }

    /// The client said nothing for too long.
    pub fn timed_out(&mut self) {
        self.leave(Reply::Timeout);
    }

    /// The server is going down; ends the session unless a message is just
    /// arriving.
    pub fn shut_down(&mut self) {
        if !self.is_receiving() {
            let host = self.greeting_word();
            self.reply_with(Reply::ShuttingDown, &host);
            self.close();
        }
    }

    /// Says whether the client took its leave.
    pub fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// Says whether a message is arriving or being queued.
    pub fn is_receiving(&self) -> bool {
        matches!(
            self.state,
            State::Beginning(_)
                | State::Receiving(_)
                | State::AskingVerdict(_)
                | State::Committing(_)
        )
    }

    /// Collects further replies only while there is nothing else to do.
    fn may_collect(&self) -> bool {
        match self.steps.front() {
            None => true,
            Some(Step::Send(bytes)) => self.steps.len() == 1 && bytes.len() < OUTPUT_BYTES_MAX,
            Some(_) => false,
        }
    }

    /// Does one thing; `false` when nothing can be done now.
    fn advance(&mut self, now: &Moment) -> bool {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Start => self.welcome(now),
            State::Listening => self.listened(now),
            State::Ready => return self.next_command(now),
            State::Authenticating(exchange) => return self.auth_line(exchange),
            State::Receiving(transfer) => return self.receive_message(transfer),
            State::Skipping { left, reply } => return self.skip(left, reply),
            waiting => {
                self.state = waiting;
                return false;
            }
        }
        true
    }

    /// Takes a complete line off the input; what it may not be, ends the
    /// session.
    fn line(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', &self.input);
        if bytes_max <= end.unwrap_or(self.input.len()) {
            self.log("command too long!".to_owned());
            self.leave(Reply::CommandTooLong);
            return None;
        }
        let mut line: Vec<u8> = self.input.drain(..=end?).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    fn next_command(&mut self, now: &Moment) -> bool {
        let bytes_max = match command::is_auth(&self.input) {
            true => AUTH_BYTES_MAX,
            false => COMMAND_BYTES_MAX,
        };
        let Some(line) = self.line(bytes_max) else {
            return matches!(self.state, State::Ended);
        };
        if line.iter().any(u8::is_ascii_control) {
            self.mistake(Reply::CommandBytes);
        } else {
            self.command(&line, now);
        }
        true
    }

    fn command(&mut self, line: &[u8], now: &Moment) {
        let command = Command::parse(line);
        if self.peer.refusal.is_some() && command != Command::Quit {
            self.refuse();
            return;
        }
        if !self.is_of_port(&command) {
            self.mistake(Reply::Unknown);
            return;
        }
        match command {
            Command::Helo(name) => self.hello(name, false),
            Command::Ehlo(name) => self.hello(name, true),
            Command::Mail(argument) => self.mail(argument, now),
            Command::Rcpt(argument) => self.rcpt(argument, now),
            Command::Data => self.data(now),
            Command::Bdat(argument) => self.bdat(argument, now),
            Command::Rset => {
                self.forget_transaction();
                self.idle(Reply::Flushed);
            }
            Command::Noop => self.idle(Reply::Fine),
            Command::Vrfy if self.config.disable_vrfy => self.mistake(Reply::Unimplemented),
            Command::Vrfy => self.idle(Reply::CannotVerify),
            Command::Help if self.config.disable_help => self.mistake(Reply::Unimplemented),
            Command::Help => self.help(),
            Command::Quit => self.quit(),
            Command::Etrn(argument) => self.etrn(argument),
            Command::Atrn(argument) => self.atrn(argument),
            Command::StartTls(argument) => self.starttls(argument),
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial, now),
            Command::NoArgument => self.mistake(Reply::NoArgument),
            Command::NoKeyword => self.mistake(Reply::AddressSyntax),
            Command::Unimplemented => self.mistake(Reply::Unimplemented),
            Command::Unknown => self.mistake(Reply::Unknown),
        }
    }

    /// Says whether the port we are on has this command
    /// (smtp-receiving.md §6).
    fn is_of_port(&self, command: &Command<'_>) -> bool {
        let is_missing = match self.peer.commands {
            Commands::Relay => matches!(command, Command::Atrn(_)),
            Commands::Submission => matches!(command, Command::Etrn(_) | Command::Atrn(_)),
            Commands::OnDemand => matches!(
                command,
                Command::Mail(_)
                    | Command::Rcpt(_)
                    | Command::NoKeyword
                    | Command::Data
                    | Command::Bdat(_)
                    | Command::Rset
                    | Command::Noop
                    | Command::Vrfy
            ),
        };
        !is_missing
    }

    fn starttls(&mut self, argument: &[u8]) {
        if !argument.is_empty() {
            self.mistake(Reply::NoTlsArgument);
        } else if self.tls.is_some() || !self.peer.starttls {
            self.mistake(Reply::Unimplemented);
        } else {
            // Whatever came with the command was not protected by the TLS it
            // asks for (CVE-2011-0411).
            self.input.clear();
            self.reply(Reply::ReadyForTls);
            self.steps.push_back(Step::StartTls);
            self.state = State::Securing;
        }
    }

    /// Ends the transaction, and the message in it.
    fn forget_transaction(&mut self) {
        self.config = Arc::clone(&self.base);
        if let Some(transaction) = self.transaction.take()
            && transaction.chunks.is_some()
        {
            self.steps.push_back(Step::Abort);
        }
    }

    /// Answers a command that leads nowhere; there may be only so many.
    fn idle(&mut self, reply: Reply) {
        self.idle_commands += 1;
        match self.idle_commands <= IDLE_COMMANDS_MAX {
            true => self.reply(reply),
            false => self.leave(Reply::TooManyErrors),
        }
    }

    /// Answers a command the client should not have sent; there may be only
    /// so many.
    fn mistake(&mut self, reply: Reply) {
        self.mistake_with(reply, b"");
    }

    fn mistake_with(&mut self, reply: Reply, detail: &[u8]) {
        self.errors += 1;
        match self.errors <= ERRORS_MAX {
            true => self.reply_with(reply, detail),
            false => self.leave(Reply::TooManyErrors),
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.reply_with(reply, b"");
    }

    fn reply_with(&mut self, reply: Reply, detail: &[u8]) {
        self.send_line(&reply.line(detail));
    }

    /// Queues a line for the client, together with those before it.
    fn send_line(&mut self, line: &str) {
        if !matches!(self.steps.back(), Some(Step::Send(_))) {
            self.steps.push_back(Step::Send(Vec::new()));
        }
        if let Some(Step::Send(bytes)) = self.steps.back_mut() {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
    }

    fn log(&mut self, line: String) {
        self.steps.push_back(Step::Log(line));
    }

    /// Says why, and closes.
    fn leave(&mut self, reply: Reply) {
        self.reply(reply);
        self.close();
    }

    fn close(&mut self) {
        let open = self.is_receiving();
        if open
            || self
                .transaction
                .as_ref()
                .is_some_and(|t| t.chunks.is_some())
        {
            self.steps.push_back(Step::Abort);
        }
        self.transaction = None;
        self.input = Vec::new();
        self.steps.push_back(Step::Close);
        self.state = State::Ended;
    }

    /// Says whether this client may send to other sites.
    fn may_relay(&self) -> bool {
        self.peer.relay_suffix.is_some()
            || self
                .identity
                .as_ref()
                .is_some_and(|who| who.account.may_relay)
            || self.transaction.as_ref().is_some_and(|t| t.may_relay)
    }
}

#[cfg(test)]
mod tests;
