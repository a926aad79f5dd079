//! Putting one bounce into the queue, without waiting for anybody: over the
//! socket of the persistent queue writer, or through a program with the
//! interface of qmail-queue(8).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use inject::{Code, Refused};
use os::child::{Ended, Setup};
use os::signal::Interest;
use run::{Home, Settings};
use schedule::Notice;
use text::envrules::Change;
use wire::frame::{self, Decoder};
use wire::queue::{Reply, Request, VERSION};
use wire::trace::TraceId;

use crate::bounce::Body;
use crate::child::Child;
use crate::daemon::Pending;

/// Bytes handed over at once.
const PIECE_BYTES: usize = 32 * 1024;
/// Whoever has not done with a bounce after this long is given up.
pub const TIMEOUT_SECONDS: i64 = 300;
/// Most bytes of the bounce's text given to BOUNCEPROCESSOR as an argument.
pub const TEXT_BYTES_MAX: usize = 4096;

/// One bounce on its way.
pub struct Injection {
    /// The message that failed.
    pub id: u64,
    /// Where the bounce goes.
    pub notice: Notice,
    /// The bounce's own trace.
    pub trace: TraceId,
    /// When to give up.
    pub deadline: i64,
    /// Not a bounce but this notice.
    pub pending: Option<Pending>,
    /// Exit code of BOUNCEPROCESSOR, once it has one.
    pub judgement: Option<i32>,
    way: Way,
}

enum Way {
    Processor(Child),
    Writer(Writer),
    Program(Program),
}

struct Writer {
    stream: UnixStream,
    decoder: Decoder,
    feed: Feed,
    commit: Option<Request>,
}

struct Program {
    child: Child,
    message: Option<File>,
    envelope: Option<File>,
    feed: Feed,
    /// What follows on the second pipe.
    records: Vec<u8>,
}

/// Bytes that wait to be written, and what comes after them.
struct Feed {
    pending: Vec<u8>,
    written: usize,
    body: Option<Body>,
}

/// How an injection stands.
#[derive(Debug)]
pub enum Progress {
    /// It goes on.
    Unfinished,
    /// The bounce is in the queue, by this process.
    Queued(u32),
    /// BOUNCEPROCESSOR says it may be sent.
    Approved,
    /// BOUNCEPROCESSOR says it may not.
    Dropped,
    /// It did not work.
    Failed(String),
}

impl Injection {
    /// Asks a program whether the bounce may be sent.
    pub fn ask(
        home: &Home,
        program: &[u8],
        variables: &[Change],
        arguments: &[&OsStr],
        id: u64,
        notice: Notice,
        now: i64,
    ) -> io::Result<Self> {
        let mut command = words(home, program, variables);
        command.args(arguments);
        let child = Child::start(command, Setup::default())?;
        Ok(Self::new(id, notice, Way::Processor(child), now))
    }

    /// Hands the bounce to the persistent queue writer.
    pub fn to_writer(
        home: &Home,
        id: u64,
        notice: Notice,
        body: Body,
        now: i64,
    ) -> io::Result<Self> {
        let stream = UnixStream::connect(home.socket("queue"))?;
        stream.set_nonblocking(true)?;
        let commit = Request::Commit {
            sender: notice.sender.clone(),
            recipients: vec![notice.recipient.clone()],
            extra_headers: Vec::new(),
        };
        let trace = run::Tracer::new_id();
        let begin = Request::Begin {
            trace,
            remote_ip: None,
        };
        let way = Way::Writer(Writer {
            stream,
            decoder: Decoder::default(),
            feed: Feed {
                pending: frame::encode(VERSION, &begin).map_err(io::Error::other)?,
                written: 0,
                body: Some(body),
            },
            commit: Some(commit),
        });
        let mut new = Self::new(id, notice, way, now);
        new.trace = trace;
        Ok(new)
    }

    /// Runs a program that queues the bounce.
    pub fn to_program(
        home: &Home,
        program: &[u8],
        variables: &[Change],
        id: u64,
        notice: Notice,
        body: Body,
        now: i64,
    ) -> io::Result<Self> {
        let settings = Settings::of_process(home);
        let no_program = |refused: inject::Refused| io::Error::other(refused.text);
        let program = inject::Program::parse(home, &settings, program, variables);
        let program = program.map_err(no_program)?;
        let (message_read, message_write) = os::fd::pipe()?;
        let (envelope_read, envelope_write) = os::fd::pipe()?;
        for end in [&message_write, &envelope_write] {
            os::fd::set_nonblocking(end, true)?;
        }
        let trace = run::Tracer::new_id();
        // What it has to say is for the log.
        let errors = io::stderr().as_fd().try_clone_to_owned()?;
        let mut command = program.command(trace, b"", Some(message_read), envelope_read, errors);
        command.env_remove("SPAMFILTER").env_remove("FILTERARGS");
        let child = Child::start(command, Setup::default())?;
        let recipients = [notice.recipient.clone()];
        let records = inject::records(&notice.sender, &recipients);
        let way = Way::Program(Program {
            child,
            message: Some(message_write.into()),
            envelope: Some(envelope_write.into()),
            feed: Feed {
                pending: Vec::new(),
                written: 0,
                body: Some(body),
            },
            records,
        });
        let mut new = Self::new(id, notice, way, now);
        new.trace = trace;
        Ok(new)
    }

    fn new(id: u64, notice: Notice, way: Way, now: i64) -> Self {
        Self {
            id,
            notice,
            trace: run::Tracer::new_id(),
            deadline: now + TIMEOUT_SECONDS,
            pending: None,
            judgement: None,
            way,
        }
    }

    /// What to wait for; a program that runs to its end needs nothing.
    pub fn wait(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        match &self.way {
            Way::Processor(_) => None,
            Way::Writer(writer) if writer.is_sent() => {
                Some((writer.stream.as_fd(), Interest::Read))
            }
            Way::Writer(writer) => Some((writer.stream.as_fd(), Interest::Both)),
            Way::Program(program) => {
                let pipe = program.message.as_ref().or(program.envelope.as_ref());
                pipe.map(|pipe| (pipe.as_fd(), Interest::Write))
            }
        }
    }

    /// Moves bytes.
    pub fn ready(&mut self) -> Progress {
        let result = match &mut self.way {
            Way::Processor(_) => Ok(Progress::Unfinished),
            Way::Writer(writer) => writer.ready(),
            Way::Program(program) => program.ready().map(|()| Progress::Unfinished),
        };
        result.unwrap_or_else(|error| Progress::Failed(error.to_string()))
    }

    /// A child ended; says what that means when it is this injection's.
    pub fn child_ended(&mut self, child: u32, ended: Ended) -> Progress {
        let own = match &mut self.way {
            Way::Processor(processor) => processor,
            Way::Program(program) => &mut program.child,
            Way::Writer(_) => return Progress::Unfinished,
        };
        if !own.collected(child) {
            return Progress::Unfinished;
        }
        match &self.way {
            Way::Processor(_) => {
                if let Ended::Code(code) = ended {
                    self.judgement = Some(code);
                }
                match ended {
                    Ended::Code(0) => Progress::Approved,
                    Ended::Code(1) => Progress::Dropped,
                    _ => Progress::Failed("BOUNCEPROCESSOR failed".to_owned()),
                }
            }
            Way::Program(program) => match ended {
                Ended::Code(0) if program.envelope.is_none() => Progress::Queued(child),
                ended => Progress::Failed(ended_badly(ended).text),
            },
            Way::Writer(_) => Progress::Unfinished,
        }
    }

    /// Why it is given up at its deadline.
    pub fn silence(&self) -> &'static str {
        match &self.way {
            Way::Processor(_) => "BOUNCEPROCESSOR took too long and was killed",
            Way::Program(_) => "the queue program took too long and was killed",
            Way::Writer(_) => "the queue writer does not answer",
        }
    }
}

fn ended_badly(ended: Ended) -> Refused {
    let code = match ended {
        // It says yes without having read everything.
        Ended::Code(0) => Code::Read as u8,
        Ended::Code(code) => u8::try_from(code).unwrap_or(Code::Crashed as u8),
        Ended::Signal(_) => Code::Crashed as u8,
    };
    Refused::from_code(code, b"")
}

/// A program and its arguments, as blank-separated words; started in the
/// installation's root with these variables changed.
fn words(home: &Home, program: &[u8], variables: &[Change]) -> Command {
    let mut words = program
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(OsStr::from_bytes);
    let mut command = Command::new(home.root().join(words.next().unwrap_or_default()));
    command.args(words).current_dir(home.root());
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, OsStr::from_bytes(value)),
            None => command.env_remove(name),
        };
    }
    command
}

impl Writer {
    fn is_sent(&self) -> bool {
        self.commit.is_none() && self.feed.is_empty()
    }

    fn ready(&mut self) -> io::Result<Progress> {
        if let Some(reply) = self.receive()? {
            return Ok(match reply {
                Reply::Queued { qp, .. } => Progress::Queued(qp),
                Reply::Refused { code, text } => {
                    Progress::Failed(Refused::from_code(code, text.as_bytes()).text)
                }
            });
        }
        loop {
            if !self.feed.write(&mut self.stream)? {
                return Ok(Progress::Unfinished);
            }
            let next = match self.feed.next_piece()? {
                Some(piece) => Request::Data(piece),
                None => match self.commit.take() {
                    Some(commit) => commit,
                    None => return Ok(Progress::Unfinished),
                },
            };
            self.feed
                .set(frame::encode(VERSION, &next).map_err(io::Error::other)?);
        }
    }

    fn receive(&mut self) -> io::Result<Option<Reply>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::Error::other("the queue writer hung up")),
            Ok(length) => self.decoder.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        self.decoder.next(VERSION).map_err(io::Error::other)
    }
}

impl Program {
    fn ready(&mut self) -> io::Result<()> {
        if let Some(message) = &mut self.message {
            while self.feed.write(message)? {
                match self.feed.next_piece()? {
                    Some(piece) => self.feed.set(piece),
                    None => {
                        self.message = None;
                        self.feed.set(std::mem::take(&mut self.records));
                        break;
                    }
                }
            }
        }
        if let (None, Some(envelope)) = (&self.message, &mut self.envelope)
            && self.feed.write(envelope)?
        {
            self.envelope = None;
        }
        Ok(())
    }
}

impl Feed {
    fn is_empty(&self) -> bool {
        self.written == self.pending.len()
    }

    fn set(&mut self, bytes: Vec<u8>) {
        self.pending = bytes;
        self.written = 0;
    }

    /// Writes what it can; says whether everything went.
    fn write(&mut self, to: &mut impl Write) -> io::Result<bool> {
        while !self.is_empty() {
            match to.write(&self.pending[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(body) = &mut self.body else {
            return Ok(None);
        };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        body.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            self.body = None;
            return Ok(None);
        }
        Ok(Some(piece))
    }
}
