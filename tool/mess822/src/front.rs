//! Queue front-ends: programs that take a message on descriptor 0 and its
//! envelope on 1, as qmail-queue(8) does, and end by becoming the next one
//! (smtp-receiving.md §5.3, §5.4). They run as whoever calls them.

mod multi;
mod nullqueue;
mod qmqpc;
mod scan;
mod spam;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use os::child::{Ended, Setup};
use os::signal::{Interest, Signal, Signals};
use run::{Exit, Home, Settings, Tracer};
use settings::queue::DEATH;

pub use multi::multi;
pub use nullqueue::nullqueue;
pub use qmqpc::qmqpc;

/// Exit codes of qmail-queue(8).
const CODE_SPAM: u8 = 32;
const CODE_VIRUS: u8 = 33;
const CODE_REFUSED: u8 = 31;
const CODE_READ: u8 = 54;
const CODE_SETTINGS: u8 = 55;
const CODE_NETWORK: u8 = 56;
const CODE_TEMPORARY_FILE: u8 = 68;
const CODE_LATER: u8 = 71;
const CODE_EXEC_FILTER: u8 = 75;
const CODE_SPAM_FILTER: u8 = 76;
const CODE_CONFIGURATION: u8 = 87;
const CODE_EXEC: u8 = 120;
const CODE_CRASHED: u8 = 123;

/// How long a filter may take.
const FILTER_TIME_MAX: Duration = Duration::from_secs(300);
/// Where temporary files go without `TMPDIR`.
const TEMPORARY_DIRECTORY: &str = "/tmp";
/// Most bytes of header lines that travel in `QQEH`.
const EXTRA_BYTES_MAX: usize = 60 * 1024;

/// Tells that a message went nowhere, as a rule of the site has it.
fn discarded(home: &Home, program: &'static str) {
    Tracer::connect(home, program).discarded(Tracer::id_of_process(), program);
}

/// Prints the help when that is what is asked for; on stderr, because
/// descriptor 1 is for reading.
fn help(text: &str, arguments: &[Vec<u8>]) -> bool {
    let asked = matches!(arguments, [only] if only == b"--help");
    if asked {
        eprint!("{text}");
    }
    asked
}

/// Ends with 52 when it takes too long.
fn set_death(settings: &Settings) -> Result<(), Exit> {
    let seconds = settings.integer(&DEATH).map_err(unreadable)?;
    os::signal::exit_52_after(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
    Ok(())
}

fn unreadable(error: run::SettingError) -> Exit {
    Exit::new(CODE_SETTINGS, run::chain(&error))
}

fn queue_error(error: &queue::Error) -> Exit {
    Exit::new(error.exit_code(), run::chain(error))
}

fn descriptor(number: i32, what: &str) -> Result<File, Exit> {
    let missing = || Exit::new(CODE_READ, format!("no {what} on descriptor {number}"));
    os::fd::inherit_file(number).ok_or_else(missing)
}

fn temporary_directory() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|path| !path.is_empty());
    named.map_or_else(|| TEMPORARY_DIRECTORY.into(), PathBuf::from)
}

/// A file without a name that nobody else can open.
fn temporary_file() -> Result<File, Exit> {
    tempfile::tempfile_in(temporary_directory()).map_err(no_temporary)
}

fn no_temporary(error: io::Error) -> Exit {
    Exit::new(
        CODE_TEMPORARY_FILE,
        format!("cannot write a temporary file; see TMPDIR: {error}"),
    )
}

/// What is left of `input` in a file that can be read again, from its start.
fn spool(mut input: impl Read) -> Result<File, Exit> {
    let mut file = temporary_file()?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => file.write_all(&buffer[..length]).map_err(no_temporary)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Exit::new(CODE_READ, format!("cannot read: {error}"))),
        }
    }
    file.rewind().map_err(no_temporary)?;
    Ok(file)
}

/// Reads to the end, for what nobody wants.
fn drain(mut input: impl Read) -> Result<(), Exit> {
    io::copy(&mut input, &mut io::sink())
        .map(drop)
        .map_err(|error| Exit::new(CODE_READ, format!("cannot read: {error}")))
}

/// The command of a setting, as words; variables in it are ours.
fn words(command: &[u8]) -> Result<Vec<OsString>, Exit> {
    let variable = |name: &str| std::env::var_os(name).map(OsString::into_vec);
    let words = text::words::split(command, variable).map_err(|error| {
        let shown = text::log::printable(command, 200);
        Exit::new(CODE_CONFIGURATION, format!("{shown}: {error}"))
    })?;
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// Runs a filter on a message; its output, and how it ended.
fn filter(mut command: Command, message: File) -> Result<(Ended, File), Exit> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot =
        |error: io::Error| Exit::new(CODE_EXEC_FILTER, format!("cannot run {program}: {error}"));
    let output = temporary_file()?;
    let shared = output.try_clone().map_err(no_temporary)?;
    let mut message = message;
    message.rewind().map_err(no_temporary)?;
    let setup = Setup {
        descriptors: vec![(0, message.into()), (1, shared.into())],
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let ended = wait(command, cannot)?.ok_or_else(|| {
        let text = format!("{program} took longer than {FILTER_TIME_MAX:?}");
        Exit::new(CODE_SPAM_FILTER, text)
    })?;
    let mut output = output;
    output.rewind().map_err(no_temporary)?;
    Ok((ended, output))
}

/// Starts a program and waits until it ends; `None` when it takes too long
/// and had to be killed.
fn wait(mut command: Command, cannot: impl Fn(io::Error) -> Exit) -> Result<Option<Ended>, Exit> {
    use std::os::fd::AsFd;
    let mut signals = Signals::collect(&[Signal::SIGCHLD]).map_err(&cannot)?;
    let mut child = command.spawn().map_err(&cannot)?;
    let deadline = Instant::now() + FILTER_TIME_MAX;
    while child.try_wait().map_err(&cannot)?.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        let waits = [(signals.as_fd(), Interest::Read)];
        os::signal::poll(&waits, Some(left)).map_err(&cannot)?;
        while signals.take().is_some() {}
    }
    os::child::wait(child).map(Some).map_err(cannot)
}

/// What the next program finds on its descriptors, when it is not what we
/// found there.
#[derive(Debug, Default)]
struct Replaced {
    message: Option<File>,
    envelope: Option<File>,
}

impl Replaced {
    fn apply(self, command: &mut Command) {
        let named = [(0, self.message), (1, self.envelope)];
        let descriptors = named
            .into_iter()
            .filter_map(|(number, file)| Some((number, file?.into())));
        let setup = Setup {
            descriptors: descriptors.collect(),
            ..Setup::default()
        };
        os::child::prepare(command, setup);
    }
}

/// Becomes the next program.
fn become_next(mut command: Command, replaced: Replaced) -> Exit {
    replaced.apply(&mut command);
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Exit::new(CODE_EXEC, format!("cannot run {program}: {error}"))
}

/// Runs the next program to its end instead; its exit code.
fn run_next(mut command: Command, replaced: Replaced) -> Result<u8, Exit> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |error| Exit::new(CODE_EXEC, format!("cannot run {program}: {error}"));
    command.stdin(Stdio::inherit());
    replaced.apply(&mut command);
    let child = command.spawn().map_err(cannot)?;
    match os::child::wait(child).map_err(cannot)? {
        Ended::Code(code) => Ok(u8::try_from(code).unwrap_or(CODE_CRASHED)),
        Ended::Signal(_) => Ok(CODE_CRASHED),
    }
}
