//! qmail-multi: filters a message, scans it, chooses its queue
//! (smtp-receiving.md §5.3, queue-and-delivery.md §3.1.7).
//!
//! Each stage that wants the message reads it from a file, and the next stage
//! starts when its verdict is there; without stages the message is not
//! touched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use filter::Said;
use os::child::Ended;
use policy::Engines;
use queue::{Envelope, Queues};
use run::{Exit, Home, ProgramEnd, Settings};
use settings::front_ends::{FILTERARGS, QHPSI, QUEUEPROG, SPAMFILTER};
use settings::queue::{QQEH, QUEUEDIR};
use settings::receiving::VIRUSCHECK;

use super::{
    CODE_CRASHED, CODE_EXEC_FILTER, CODE_LATER, CODE_REFUSED, EXTRA_BYTES_MAX, Replaced,
    become_next, descriptor, discarded, drain, failed, given_or, help, no_temporary, queue_error,
    run_next, scan, set_death, spam, spool, temporary_file, unreadable, words,
};

const HELP: &str = "\
usage: qmail-multi [argument...] < message 1< envelope

Passes a message through qscanq where VIRUSCHECK asks for it, and through
SPAMFILTER, FILTERARGS and QHPSI where these are set,
chooses a queue, makes sure that MIN_FREE bytes are free, and becomes
QUEUEPROG or qmail-queue with the same arguments.
Exit codes: those of qmail-queue(8); 31 refused by FILTERARGS, 32 spam, 33
virus, 53 too little space, 71 not now, 75 to 77 a filter or scanner fails.
";

const SPAMFILTER_HELP: &str = "\
usage: qmail-spamfilter [program [argument...]] < message 1< envelope

Passes a message through qscanq where VIRUSCHECK asks for it, and through
SPAMFILTER, and becomes the program; without one it does what qmail-multi does.
Exit codes: those of the program and of qmail-multi(8).
";

/// What becomes of a message.
pub enum Verdict {
    /// It goes on.
    Pass,
    /// The caller is told that all is well, and nothing is queued.
    Discard,
    /// A copy went elsewhere; this is the answer to the caller.
    Answer(u8),
}

/// A message on its way through the stages.
pub struct Passage<'a> {
    pub home: &'a Home,
    pub settings: &'a Settings,
    arguments: &'a [Vec<u8>],
    message: Option<File>,
    envelope: Option<File>,
    extra_headers: Vec<u8>,
}

/// A step on the way, and what it says.
type Stage = fn(&mut Passage<'_>) -> Result<Verdict, Exit>;

/// qmail-multi.
pub fn multi(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(HELP, arguments) {
        return Ok(().into());
    }
    let stages: [Stage; 3] = [spam::judge, filter, scan::scan];
    run(arguments, "qmail-multi", &stages, |passage| passage.next())
}

/// qmail-spamfilter: without arguments qmail-multi, with them only its spam
/// filter, before the program that they are.
pub fn spamfilter(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    match arguments {
        [] => multi(arguments),
        arguments if help(SPAMFILTER_HELP, arguments) => Ok(().into()),
        _ => run(arguments, "qmail-spamfilter", &[spam::judge], |passage| {
            let mut command = given_or(passage.home, passage.settings, arguments, None, "")?;
            // It has been judged.
            command.env_remove(SPAMFILTER.variable);
            Ok(command)
        }),
    }
}

/// Goes through the stages, and becomes the next program.
fn run(
    arguments: &[Vec<u8>],
    program: &'static str,
    stages: &[Stage],
    next: impl Fn(&Passage<'_>) -> Result<Command, Exit>,
) -> Result<ProgramEnd, Exit> {
    let home = Home::find();
    let settings = Settings::of_process(&home);
    set_death(&settings)?;
    if Engines::of(settings.variable(VIRUSCHECK.variable)).outside() {
        return Err(become_scanner(&home, program, arguments));
    }
    let mut passage = Passage {
        home: &home,
        settings: &settings,
        arguments,
        message: None,
        envelope: None,
        extra_headers: Vec::new(),
    };
    for stage in stages {
        match stage(&mut passage)? {
            Verdict::Pass => {}
            Verdict::Discard => {
                passage.take_envelope(|_| Ok(()))?;
                discarded(&home, program);
                return Ok(().into());
            }
            Verdict::Answer(code) => return Ok(code.into()),
        }
    }
    let command = next(&passage)?;
    let replaced = passage.replaced();
    Err(become_next(command, replaced))
}

/// `VIRUSCHECK`: qscanq comes first, and we come back without it.
fn become_scanner(home: &Home, program: &str, arguments: &[Vec<u8>]) -> Exit {
    let mut command = Command::new(home.bin().join("qscanq"));
    command.arg(program);
    command.args(arguments.iter().map(|word| OsStr::from_bytes(word)));
    let error = become_next(command, Replaced::default());
    Exit::new(CODE_EXEC_FILTER, error.text)
}

/// `FILTERARGS`: a shell command every message is piped through.
fn filter(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let Some(line) = passage.variable(FILTERARGS.variable) else {
        return Ok(Verdict::Pass);
    };
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(OsStr::from_bytes(&line));
    match passage.filter(command)? {
        Ended::Code(0) => Ok(Verdict::Pass),
        Ended::Code(2 | 99) => Ok(Verdict::Discard),
        Ended::Code(code @ 88) => Ok(Verdict::Answer(code as u8)),
        Ended::Code(31 | 100) => Ok(Verdict::Answer(CODE_REFUSED)),
        Ended::Code(_) => Ok(Verdict::Answer(CODE_LATER)),
        Ended::Signal(_) => Ok(Verdict::Answer(CODE_CRASHED)),
    }
}

impl Passage<'_> {
    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.settings.variable(name)?;
        (!value.is_empty()).then(|| value.to_vec())
    }

    pub fn integer(&self, setting: &settings::Setting) -> Result<i64, Exit> {
        self.settings.integer(setting).map_err(unreadable)
    }

    /// The message as a file that can be read again, at its start.
    pub fn message(&mut self) -> Result<File, Exit> {
        let file = match self.message.take() {
            Some(file) => file,
            None => spool(descriptor(0, "message")?)?,
        };
        let mut again = file.try_clone().map_err(no_temporary)?;
        self.message = Some(file);
        again.rewind().map_err(no_temporary)?;
        Ok(again)
    }

    /// Runs a filter. What it prints becomes the message; one that prints
    /// nothing only judges.
    pub fn filter(&mut self, command: Command) -> Result<Ended, Exit> {
        let message = self.message()?;
        let passed = filter::pass(command, &message, Said::Inherit).map_err(failed)?;
        let ended = passed.ended;
        self.message = Some(passed.message(message).map_err(failed)?);
        Ok(ended)
    }

    /// Header lines that travel with the envelope.
    pub fn add_header(&mut self, line: &[u8]) {
        self.extra_headers.extend_from_slice(line);
        self.extra_headers.push(b'\n');
    }

    /// Reads the caller's envelope to its end: the sender is returned, the
    /// recipients are handed over one by one.
    pub fn take_envelope(
        &mut self,
        mut recipient: impl FnMut(&[u8]) -> Result<(), Exit>,
    ) -> Result<Vec<u8>, Exit> {
        let unread = self.message.is_none();
        if unread && let Some(message) = os::fd::inherit_file(0) {
            drain(message)?;
        }
        let input: Box<dyn std::io::Read> = match self.envelope.take() {
            Some(file) => Box::new(file),
            None => Box::new(descriptor(1, "envelope")?),
        };
        let mut envelope = Envelope::new(BufReader::new(input));
        let sender = envelope.sender().map_err(|error| queue_error(&error))?;
        while let Some(address) = envelope.recipient().map_err(|e| queue_error(&e))? {
            recipient(address)?;
        }
        Ok(sender)
    }

    /// From now on the envelope is this one.
    pub fn replace_envelope(&mut self, sender: &[u8], recipient: &[u8]) -> Result<(), Exit> {
        let mut records = Vec::new();
        text::records::append(&mut records, b'F', sender);
        text::records::append(&mut records, b'T', recipient);
        records.push(0);
        let mut file = temporary_file()?;
        file.write_all(&records).map_err(no_temporary)?;
        file.rewind().map_err(no_temporary)?;
        self.envelope = Some(file);
        Ok(())
    }

    /// Queues the message as it is now, and comes back; the exit code.
    pub fn queue_now(&mut self) -> Result<u8, Exit> {
        let command = self.next()?;
        let replaced = self.replaced();
        run_next(command, replaced)
    }

    fn replaced(&mut self) -> Replaced {
        let mut message = self.message.take();
        if let Some(file) = &mut message {
            // A file that was written can be read from its start.
            let _ = file.rewind();
        }
        Replaced {
            message,
            envelope: self.envelope.take(),
        }
    }

    /// The next program, on the queue that is chosen here.
    fn next(&self) -> Result<Command, Exit> {
        let queues = Queues::configured(self.home, self.settings)
            .map_err(|error| queue_error(&error.into()))?;
        let queue = queues.choose(os::clock::random());
        let wanted = queue::bytes_free_min(self.settings).map_err(unreadable)?;
        queue::check_free(queue, wanted).map_err(|error| queue_error(&error))?;
        let program = self.variable(QUEUEPROG.variable);
        let program = words(program.as_deref().unwrap_or(b"qmail-queue"), self.settings)?;
        let mut command = Command::new(inject::locate(self.home, &program[0]));
        command
            .args(&program[1..])
            .args(self.arguments.iter().map(|word| OsStr::from_bytes(word)))
            .env(QUEUEDIR.variable, queue)
            // It has been scanned.
            .env_remove(QHPSI.variable);
        if !self.extra_headers.is_empty() {
            let mut lines = self.extra_headers.clone();
            let own = std::env::var_os(QQEH.variable).unwrap_or_default();
            lines.extend(own.into_vec());
            lines.truncate(EXTRA_BYTES_MAX);
            command.env(QQEH.variable, OsStr::from_bytes(&lines));
        }
        Ok(command)
    }
}
