//! What qmail-lspawn and qmail-rspawn have in common: commands in, programs
//! started, reports out (queue-and-delivery.md §5.1).
//!
//! One thread, one poll. Nothing here waits for a program, a user lookup or
//! a delivery worker: they all answer through descriptors.

mod check;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use os::account::Identity;
use os::child::{Ended, Setup};
use os::signal::{Interest, Signal, Signals};
use wire::spawn::{self, Outcome, Report};

/// Deliveries a spawner runs at once; also the first thing it says.
pub const DELIVERIES_MAX: u16 = 500;
/// Bytes of a program's output that are kept.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// While more than this waits to be reported no further command is read.
const REPORTS_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// One delivery that passed the checks.
#[derive(Debug)]
pub struct Delivery {
    /// Its slot.
    pub slot: u16,
    /// Number of the message with its split, like `7/1234`.
    pub id: Vec<u8>,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Header lines put on top (QQEH).
    pub extra_headers: Vec<u8>,
    /// Header lines that become variables (ENVHEADERS).
    pub env_headers: Vec<u8>,
    /// Recipient before the last `@`.
    pub local: Vec<u8>,
    /// Recipient after the last `@`.
    pub domain: Vec<u8>,
    /// The message, open at its start.
    pub message: File,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A program to start; its output goes to the spawner.
#[derive(Debug)]
pub struct Program {
    /// What to run; working directory and variables are the caller's.
    pub command: Command,
    /// As whom.
    pub identity: Option<Identity>,
    /// Its descriptor 0.
    pub input: OwnedFd,
    /// What to report when it cannot be started.
    pub unable: &'static str,
}

/// What happens to a delivery next.
#[derive(Debug)]
pub enum Next<S> {
    /// It is over.
    Report(Outcome, Vec<u8>),
    /// A program does it; `S` is given back when it ended.
    Run(Box<Program>, S),
    /// Somebody else does it; [`Spawn::ready`] will say more.
    Elsewhere,
}

impl<S> Next<S> {
    /// A report in words.
    pub fn report(outcome: Outcome, text: impl Into<Vec<u8>>) -> Self {
        Self::Report(outcome, text.into())
    }
}

/// What differs between the spawners.
pub trait Spawn {
    /// What is remembered of a delivery while a program runs.
    type Stage;

    /// A delivery starts.
    fn begin(&mut self, delivery: Delivery) -> Next<Self::Stage>;

    /// A program has ended and its output is complete.
    fn ended(&mut self, stage: Self::Stage, ended: Ended, output: Vec<u8>) -> Next<Self::Stage>;

    /// Another descriptor to wait for.
    fn wait(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        None
    }

    /// That descriptor is ready; deliveries that go on, by slot.
    fn ready(&mut self) -> Vec<(u16, Next<Self::Stage>)> {
        Vec::new()
    }
}

/// A delivery that runs.
enum Running<S> {
    Program {
        pid: u32,
        ended: Option<Ended>,
        pipe: Option<File>,
        output: Vec<u8>,
        stage: S,
    },
    Elsewhere,
}

struct Spawner<'a, S: Spawn> {
    spawn: &'a mut S,
    owner: u32,
    running: BTreeMap<u16, Running<S::Stage>>,
    reports: Vec<u8>,
}

/// Serves commands on descriptor 0 with reports on descriptor 1 until 0 ends
/// and everything that runs has ended. The working directory is the queue's
/// `mess`; messages must belong to its owner.
pub fn serve<S: Spawn>(spawn: &mut S) -> io::Result<()> {
    let mut signals = Signals::collect(&[Signal::SIGCHLD])?;
    let closed = || io::Error::from(io::ErrorKind::NotConnected);
    let mut commands = os::fd::inherit_file(0).ok_or_else(closed)?;
    let mut out = os::fd::inherit_file(1).ok_or_else(closed)?;
    out.write_all(&DELIVERIES_MAX.to_le_bytes())?;
    os::fd::set_nonblocking(&out, true)?;
    let mut spawner = Spawner {
        spawn,
        owner: std::fs::metadata(".")?.uid(),
        running: BTreeMap::new(),
        reports: Vec::new(),
    };
    let mut input = Vec::new();
    let mut open = true;
    while open || !spawner.running.is_empty() || !spawner.reports.is_empty() {
        let reads = open && spawner.reports.len() < REPORTS_BYTES_MAX;
        let ready = spawner.poll(&signals, reads.then_some(&commands), &out)?;
        if ready.commands {
            open = read_commands(&mut commands, &mut input)?;
            spawner.take_commands(&mut input)?;
        }
        if ready.signals {
            while signals.take().is_some() {}
            spawner.collect();
        }
        spawner.read_outputs(&ready.outputs);
        if ready.elsewhere {
            for (slot, next) in spawner.spawn.ready() {
                spawner.running.remove(&slot);
                spawner.go_on(slot, next);
            }
        }
        spawner.report_finished();
        if !spawner.write_reports(&mut out) {
            // Nobody is left to report to; what runs ends on its own.
            return Ok(());
        }
    }
    Ok(())
}

struct Ready {
    signals: bool,
    commands: bool,
    elsewhere: bool,
    outputs: Vec<u16>,
}

fn read_commands(commands: &mut File, input: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; READ_BYTES];
    match commands.read(&mut buffer) {
        Ok(length) => {
            input.extend_from_slice(&buffer[..length]);
            Ok(0 < length)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

impl<S: Spawn> Spawner<'_, S> {
    fn poll(&self, signals: &Signals, commands: Option<&File>, out: &File) -> io::Result<Ready> {
        let mut waits = vec![(signals.as_fd(), Interest::Read)];
        waits.extend(commands.map(|file| (file.as_fd(), Interest::Read)));
        let elsewhere = self.spawn.wait();
        let is_elsewhere = elsewhere.is_some();
        waits.extend(elsewhere);
        if !self.reports.is_empty() {
            waits.push((out.as_fd(), Interest::Write));
        }
        let first_output = waits.len();
        let mut slots = Vec::new();
        for (slot, running) in &self.running {
            if let Running::Program {
                pipe: Some(pipe), ..
            } = running
            {
                waits.push((pipe.as_fd(), Interest::Read));
                slots.push(*slot);
            }
        }
        let ready = os::signal::poll(&waits, None)?;
        let at = 1 + usize::from(commands.is_some());
        Ok(Ready {
            signals: ready[0],
            commands: commands.is_some() && ready[1],
            elsewhere: is_elsewhere && ready[at],
            outputs: slots
                .into_iter()
                .zip(&ready[first_output..])
                .filter_map(|(slot, ready)| ready.then_some(slot))
                .collect(),
        })
    }

    fn take_commands(&mut self, input: &mut Vec<u8>) -> io::Result<()> {
        let mut used = 0;
        while let Some((command, length)) = spawn::take_command(&input[used..]) {
            used += length;
            self.command(command);
        }
        input.drain(..used);
        if spawn::COMMAND_BYTES_MAX < input.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "endless command",
            ));
        }
        Ok(())
    }

    fn command(&mut self, command: spawn::Command) {
        let slot = command.slot;
        let refusal = if DELIVERIES_MAX <= slot {
            Err((
                Outcome::Deferral,
                "Internal error: delnum too big. (#4.3.5)\n",
            ))
        } else if self.running.contains_key(&slot) {
            Err((
                Outcome::Deferral,
                "Internal error: delnum in use. (#4.3.5)\n",
            ))
        } else {
            check::check(command, self.owner)
        };
        match refusal {
            Ok(delivery) => {
                let next = self.spawn.begin(delivery);
                self.go_on(slot, next);
            }
            Err((outcome, text)) => self.report(slot, outcome, text.as_bytes().to_vec()),
        }
    }

    fn go_on(&mut self, slot: u16, next: Next<S::Stage>) {
        match next {
            Next::Report(outcome, text) => self.report(slot, outcome, text),
            Next::Elsewhere => {
                self.running.insert(slot, Running::Elsewhere);
            }
            Next::Run(program, stage) => {
                let unable = program.unable;
                match start(*program) {
                    Ok((pid, pipe)) => {
                        let running = Running::Program {
                            pid,
                            ended: None,
                            pipe: Some(pipe),
                            output: Vec::new(),
                            stage,
                        };
                        self.running.insert(slot, running);
                    }
                    // Whether it is missing or the system is out of
                    // processes: somebody will repair it, the mail waits.
                    Err(_) => self.report(slot, Outcome::Deferral, unable.as_bytes().to_vec()),
                }
            }
        }
    }

    fn collect(&mut self) {
        while let Some((child, how)) = os::child::collect() {
            for running in self.running.values_mut() {
                if let Running::Program { pid, ended, .. } = running
                    && *pid == child
                    && ended.is_none()
                {
                    *ended = Some(how);
                }
            }
        }
    }

    fn read_outputs(&mut self, slots: &[u16]) {
        let mut buffer = [0; READ_BYTES];
        for slot in slots {
            let Some(Running::Program { pipe, output, .. }) = self.running.get_mut(slot) else {
                continue;
            };
            let Some(file) = pipe else { continue };
            match file.read(&mut buffer) {
                Ok(0) => *pipe = None,
                Ok(length) => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(output.len());
                    output.extend_from_slice(&buffer[..length.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => *pipe = None,
            }
        }
    }

    fn report_finished(&mut self) {
        let is_finished = |running: &Running<S::Stage>| {
            matches!(
                running,
                Running::Program {
                    ended: Some(_),
                    pipe: None,
                    ..
                }
            )
        };
        let finished: Vec<u16> = self
            .running
            .iter()
            .filter_map(|(slot, running)| is_finished(running).then_some(*slot))
            .collect();
        for slot in finished {
            if let Some(Running::Program {
                ended: Some(ended),
                output,
                stage,
                ..
            }) = self.running.remove(&slot)
            {
                let next = self.spawn.ended(stage, ended, output);
                self.go_on(slot, next);
            }
        }
    }

    fn report(&mut self, slot: u16, outcome: Outcome, text: Vec<u8>) {
        let report = Report {
            slot,
            outcome,
            text,
        };
        spawn::append_report(&mut self.reports, &report);
    }

    /// Writes what can be written; `false` when nobody reads any more.
    fn write_reports(&mut self, out: &mut File) -> bool {
        while !self.reports.is_empty() {
            match out.write(&self.reports) {
                Ok(length) => {
                    self.reports.drain(..length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// Starts a program with its output on a pipe.
fn start(mut program: Program) -> io::Result<(u32, File)> {
    let (read, write) = os::fd::pipe()?;
    os::fd::set_nonblocking(&read, false)?;
    let setup = Setup {
        descriptors: vec![(0, program.input), (1, write.try_clone()?), (2, write)],
        identity: program.identity,
        ..Setup::default()
    };
    os::child::prepare(&mut program.command, setup);
    let child = program.command.spawn()?;
    Ok((child.id(), File::from(read)))
}
