//! Queue front-ends: programs that take a message on descriptor 0 and its
//! envelope on 1, as qmail-queue(8) does, and end by becoming the next one
//! (smtp-receiving.md §5.3, §5.4). They run as whoever calls them.

mod attachments;
mod dk;
mod multi;
mod nullqueue;
mod qfilter;
mod qmqpc;
mod scan;
mod scanq;
mod spam;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use os::child::{Ended, Setup};
use run::{Exit, Home, Settings, Tracer};
use settings::queue::DEATH;

pub use dk::dk;
pub use multi::{multi, spamfilter};
pub use nullqueue::nullqueue;
pub use qfilter::qfilter;
pub use qmqpc::qmqpc;
pub use scanq::{qscanq, qscanq_stdin};

/// Exit codes of qmail-queue(8).
const CODE_SPAM: u8 = 32;
const CODE_VIRUS: u8 = 33;
const CODE_ATTACHMENT: u8 = 34;
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

/// A file without a name that nobody else can open.
fn temporary_file() -> Result<File, Exit> {
    filter::temporary_file().map_err(failed)
}

/// The exit code of what filters have in common.
fn failed(error: filter::Error) -> Exit {
    Exit::new(error.exit_code(), run::chain(&error))
}

fn no_temporary(error: io::Error) -> Exit {
    Exit::new(
        CODE_TEMPORARY_FILE,
        format!("cannot write a temporary file; see TMPDIR: {error}"),
    )
}

/// What is left of `input` in a file that can be read again, from its start.
fn spool(input: impl Read) -> Result<File, Exit> {
    filter::spool(input).map_err(failed)
}

/// Reads to the end, for what nobody wants.
fn drain(mut input: impl Read) -> Result<(), Exit> {
    io::copy(&mut input, &mut io::sink())
        .map(drop)
        .map_err(|error| Exit::new(CODE_READ, format!("cannot read: {error}")))
}

/// The command of a setting, as words; variables in it are ours.
fn words(command: &[u8], settings: &Settings) -> Result<Vec<OsString>, Exit> {
    filter::words(command, settings).map_err(failed)
}

/// The words of a command as a program of ours, or where they say.
fn command_of(home: &Home, line: Vec<OsString>) -> Command {
    let mut line = line.into_iter();
    let program = line.next().unwrap_or_default();
    let mut command = Command::new(inject::locate(home, &program));
    command.args(line);
    command
}

/// The program that comes next: that of the variable with our arguments, else
/// our arguments, else a program of ours.
fn given_or(
    home: &Home,
    settings: &Settings,
    arguments: &[Vec<u8>],
    variable: Option<&str>,
    default: &str,
) -> Result<Command, Exit> {
    let named = variable.and_then(|name| settings.variable(name));
    let mut line = match named.filter(|value| !value.is_empty()) {
        Some(value) => words(value, settings)?,
        None => Vec::new(),
    };
    line.extend(arguments.iter().cloned().map(OsString::from_vec));
    if line.is_empty() {
        line.push(default.into());
    }
    Ok(command_of(home, line))
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
