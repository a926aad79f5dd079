//! The dialogue itself.

use sasl::Mechanism;
use wire::dsn::{Dsn, Wish};

use super::auth::{Credentials, Exchange, MechanismChoice};
use super::extensions::Extensions;
use super::path::Path;
use super::reply::{Reply, ReplyError, ReplyReader};

/// Most recipients sent before their replies are read. Both sides could wait
/// for each other for ever if the replies of a group filled the pipe.
const PIPELINE_RECIPIENTS_MAX: usize = 50;

/// What a session is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who we say we are.
    pub helo: String,
    /// Envelope sender.
    pub sender: Path,
    /// Envelope recipients.
    pub recipients: Vec<Path>,
    /// Size of the message, for servers that want to know.
    pub size: u64,
    /// Whether it has bytes beyond ASCII.
    pub eight_bit: bool,
    /// What to do about TLS.
    pub encryption: Encryption,
    /// Who to authenticate as.
    pub credentials: Option<(Credentials, MechanismChoice)>,
    /// What the sender wants to be told, for servers that offer DSN.
    pub dsn: Dsn,
    /// The same for each recipient, in order; those beyond want nothing.
    pub wishes: Vec<Wish>,
}

/// How much TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// None, even when offered.
    Never,
    /// When offered.
    IfOffered,
    /// The message is not sent without.
    Required,
    /// The connection began with a handshake.
    Established,
}

/// What the driver has to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Do the TLS handshake, then call [`Session::secured`].
    StartTls,
    /// Write the message through a [`super::TextEncoder`], then call
    /// [`Session::text_sent`].
    Text,
    /// Read bytes and call [`Session::receive`].
    Wait,
    /// Close the connection; ask for [`Session::outcome`].
    Done,
}

/// What was being said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Nothing yet; the server speaks first.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS, or the handshake.
    StartTls,
    /// AUTH, and how many challenges were answered.
    Auth(Mechanism, usize),
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The message, without its end.
    Text,
    /// After the end of the message: it may have been taken.
    Final,
}

/// How a session ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The server has the message.
    Accepted(Reply),
    /// It wants none of the recipients.
    NoRecipient,
    /// It said no.
    Rejected(Stage, Reply),
    /// TLS was required and is not offered.
    NotSecured,
    /// The message must not go where TLS is not required, and the server does
    /// not offer to require it (RFC 8689).
    NotRequiringTls,
    /// Bytes came before the handshake that nobody asked for: somebody tries
    /// to have them taken for what the server says inside TLS.
    Injected,
    /// It offers no way to authenticate that we know.
    NoMechanism,
    /// It would have us show the password to everybody on the way.
    PasswordInClear,
    /// Its challenge is none.
    BadChallenge(Mechanism),
    /// An address needs SMTPUTF8.
    NoUnicode,
    /// Its replies do not end.
    Confused(Stage, ReplyError),
    /// The connection broke, or a timer ran out.
    Died(Stage),
}

/// What became of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The replies to the first recipients, in order; fewer than there are
    /// recipients when the session ended before.
    pub recipients: Vec<Reply>,
    /// How it ended.
    pub end: End,
    /// Whether the message went through TLS.
    pub secured: bool,
    /// Whether the server took over what the sender wants to be told.
    pub reports: bool,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Auth(Mechanism, usize),
    Sender,
    /// How many RCPT commands were sent.
    Recipients(usize),
    Data,
    Text,
    Final,
    Ended(End),
}

/// One session.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    state: State,
    secured: bool,
    replies: ReplyReader,
    output: Vec<u8>,
    extensions: Extensions,
    exchange: Option<Exchange>,
    answers: Vec<Reply>,
}

impl Session {
    /// A session over a connection on which nothing was said.
    pub fn new(plan: Plan) -> Self {
        Self {
            secured: plan.encryption == Encryption::Established,
            plan,
            state: State::Greeting,
            replies: ReplyReader::default(),
            output: Vec::new(),
            extensions: Extensions::default(),
            exchange: None,
            answers: Vec::new(),
        }
    }

    /// Takes bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.replies.push(bytes);
    }

    /// Goes one step on.
    pub fn step(&mut self) -> Step {
        loop {
            if !self.output.is_empty() {
                return Step::Send(std::mem::take(&mut self.output));
            }
            match self.state {
                State::Handshake => return Step::StartTls,
                State::Text => return Step::Text,
                State::Ended(_) => return Step::Done,
                _ => {}
            }
            match self.replies.take() {
                Ok(Some(reply)) => self.take(reply),
                Ok(None) => return Step::Wait,
                Err(error) => self.state = State::Ended(End::Confused(self.stage(), error)),
            }
        }
    }

    /// The handshake succeeded.
    pub fn secured(&mut self) {
        self.secured = true;
        self.extensions = Extensions::default();
        self.greet();
    }

    /// The message and its end were written.
    pub fn text_sent(&mut self) {
        self.state = State::Final;
    }

    /// The connection is gone, or too slow. When the message was cut short
    /// because the server had refused it already, that reply counts.
    pub fn broken(&mut self) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        self.output.clear();
        let stage = self.stage();
        let end = match (&self.state, self.replies.take()) {
            (State::Text, Ok(Some(reply))) if !reply.is_positive() => {
                End::Rejected(Stage::Text, reply)
            }
            _ => End::Died(stage),
        };
        self.state = State::Ended(end);
    }

    /// What became of the message; to be asked after [`Step::Done`]. Asked
    /// before, the session counts as broken.
    pub fn outcome(mut self) -> Outcome {
        self.broken();
        let State::Ended(end) = self.state else {
            unreachable!("a broken session has ended");
        };
        Outcome {
            recipients: self.answers,
            end,
            secured: self.secured,
            reports: self.extensions.dsn,
        }
    }

    /// What is being said at the moment.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Greeting => Stage::Greeting,
            State::Ehlo | State::Helo => Stage::Hello,
            State::StartTls | State::Handshake => Stage::StartTls,
            State::Auth(mechanism, round) => Stage::Auth(mechanism, round),
            State::Sender => Stage::Sender,
            State::Recipients(_) => Stage::Recipient,
            State::Data => Stage::Data,
            State::Text => Stage::Text,
            State::Final | State::Ended(_) => Stage::Final,
        }
    }

    fn take(&mut self, reply: Reply) {
        match self.state {
            State::Greeting if reply.code == 220 => self.greet(),
            State::Ehlo if reply.code == 250 => {
                self.extensions = Extensions::parse(&reply);
                self.after_hello();
            }
            // RFC 5321 §3.2: a server that does not know EHLO knows HELO.
            State::Ehlo if reply.is_permanent() => {
                self.say(&format!("HELO {}\r\n", self.helo()));
                self.state = State::Helo;
            }
            State::Helo if reply.code == 250 => self.after_hello(),
            State::StartTls if reply.code == 220 => {
                if self.replies.has_more() {
                    self.state = State::Ended(End::Injected);
                } else {
                    self.state = State::Handshake;
                }
            }
            State::StartTls if self.plan.encryption == Encryption::IfOffered => {
                self.authenticate();
            }
            State::Auth(mechanism, round) if reply.code == 334 => {
                self.challenge(mechanism, round, &reply);
            }
            State::Auth(mechanism, _) if is_done(&reply) => {
                let proof = reply.lines().next().unwrap_or_default();
                let exchange = self.exchange.take();
                if exchange.is_some_and(|mut exchange| exchange.may_end(proof)) {
                    self.begin_envelope();
                } else {
                    self.end(End::BadChallenge(mechanism));
                }
            }
            State::Sender if is_done(&reply) => self.send_recipients(0),
            State::Recipients(sent) => {
                self.answers.push(reply);
                self.after_recipient(sent);
            }
            State::Data if reply.code == 354 => self.state = State::Text,
            State::Final if is_done(&reply) => self.end(End::Accepted(reply)),
            _ => self.end(End::Rejected(self.stage(), reply)),
        }
    }

    fn greet(&mut self) {
        self.say(&format!("EHLO {}\r\n", self.helo()));
        self.state = State::Ehlo;
    }

    fn after_hello(&mut self) {
        if self.secured {
            return self.authenticate();
        }
        match self.plan.encryption {
            Encryption::IfOffered | Encryption::Required if self.extensions.starttls => {
                self.say("STARTTLS\r\n");
                self.state = State::StartTls;
            }
            Encryption::Required => self.end(End::NotSecured),
            Encryption::Never | Encryption::IfOffered | Encryption::Established => {
                self.authenticate();
            }
        }
    }

    fn authenticate(&mut self) {
        let Some((credentials, choice)) = &self.plan.credentials else {
            return self.begin_envelope();
        };
        let offered = &self.extensions.mechanisms;
        match choice.pick(offered, self.secured) {
            Some(mechanism) => {
                let exchange = Exchange::new(credentials, mechanism);
                self.say(&exchange.command());
                self.exchange = Some(exchange);
                self.state = State::Auth(mechanism, 0);
            }
            None if choice.pick(offered, true).is_some() => self.end(End::PasswordInClear),
            None => self.end(End::NoMechanism),
        }
    }

    fn challenge(&mut self, mechanism: Mechanism, round: usize, reply: &Reply) {
        let challenge = reply.lines().next().unwrap_or_default();
        let answer = self
            .exchange
            .as_mut()
            .and_then(|exchange| exchange.answer(round, challenge));
        match answer {
            Some(answer) => {
                self.say(&answer);
                self.state = State::Auth(mechanism, round + 1);
            }
            None => self.end(End::BadChallenge(mechanism)),
        }
    }

    fn begin_envelope(&mut self) {
        let plan = &self.plan;
        let international =
            plan.sender.is_international() || plan.recipients.iter().any(Path::is_international);
        if international && !self.extensions.smtputf8 {
            return self.end(End::NoUnicode);
        }
        if plan.dsn.require_tls && !(self.secured && self.extensions.require_tls) {
            return self.end(End::NotRequiringTls);
        }
        let mut command = [b"MAIL FROM:<", plan.sender.as_bytes(), b">"].concat();
        if self.extensions.size {
            command.extend_from_slice(format!(" SIZE={}", plan.size).as_bytes());
        }
        if plan.eight_bit && self.extensions.eight_bit_mime {
            command.extend_from_slice(b" BODY=8BITMIME");
        }
        if international {
            command.extend_from_slice(b" SMTPUTF8");
        }
        if self.extensions.dsn {
            command.extend_from_slice(&plan.dsn.parameters());
        }
        if plan.dsn.require_tls {
            command.extend_from_slice(b" REQUIRETLS");
        }
        command.extend_from_slice(b"\r\n");
        self.output.extend_from_slice(&command);
        self.state = State::Sender;
        if self.extensions.pipelining {
            self.say_recipients(0);
        }
    }

    /// Sends recipients from `first` on, unless they went out with MAIL.
    fn send_recipients(&mut self, first: usize) {
        let pipelined = self.extensions.pipelining && first == 0;
        if !pipelined {
            self.say_recipients(first);
        }
        self.state = State::Recipients(self.group_end(first));
    }

    fn after_recipient(&mut self, sent: usize) {
        if self.answers.len() < sent {
            return;
        }
        if sent < self.plan.recipients.len() {
            return self.send_recipients(sent);
        }
        if self.answers.iter().any(is_done) {
            self.say("DATA\r\n");
            self.state = State::Data;
        } else {
            self.end(End::NoRecipient);
        }
    }

    fn say_recipients(&mut self, first: usize) {
        let end = self.group_end(first);
        for (at, path) in self.plan.recipients[..end].iter().enumerate().skip(first) {
            self.output.extend_from_slice(b"RCPT TO:<");
            self.output.extend_from_slice(path.as_bytes());
            self.output.push(b'>');
            if let (true, Some(wish)) = (self.extensions.dsn, self.plan.wishes.get(at)) {
                self.output.extend_from_slice(&wish.parameters());
            }
            self.output.extend_from_slice(b"\r\n");
        }
    }

    fn say(&mut self, command: &str) {
        self.output.extend_from_slice(command.as_bytes());
    }

    /// Ends politely; nobody waits for the answer to QUIT.
    fn end(&mut self, end: End) {
        self.say("QUIT\r\n");
        self.state = State::Ended(end);
    }

    fn group_end(&self, first: usize) -> usize {
        let group = if self.extensions.pipelining {
            PIPELINE_RECIPIENTS_MAX
        } else {
            1
        };
        self.plan.recipients.len().min(first + group)
    }

    /// Our name without anything that would be more than a name.
    fn helo(&self) -> String {
        self.plan
            .helo
            .chars()
            .filter(char::is_ascii_graphic)
            .collect()
    }
}

fn is_done(reply: &Reply) -> bool {
    (200..300).contains(&reply.code)
}
