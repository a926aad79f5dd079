//! The interface of checkpassword (virtual-domains.md §11.1, smtp-receiving.md
//! §3.2), for the programs that have it.
//!
//! Descriptor 3: `login NUL password-or-challenge NUL response NUL`, and
//! perhaps the number of a method and NUL, 512 bytes at most. What a program
//! cannot decide goes unchanged to the next one, on a new descriptor 3.
//! Nothing here checks anything.

mod request;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use os::child::Setup;
use run::{Exit, ProgramEnd};
use zeroize::Zeroizing;

pub use request::{Attempt, Malformed, Proof};

/// Where the login is.
const INPUT: i32 = 3;
/// Most bytes of it (checkpassword's interface).
const INPUT_BYTES_MAX: usize = 512;
/// Exit code of a wrong password.
pub const WRONG: u8 = 1;
/// Exit code of a program that was called wrongly.
pub const MISUSED: u8 = 2;
/// Exit code of a right password of who may not relay.
pub const NO_RELAY: u8 = 3;

/// What is on descriptor 3.
pub fn input() -> Result<Zeroizing<Vec<u8>>, Exit> {
    let misused = |text: &str| Exit::new(MISUSED, text);
    let file = os::fd::inherit_file(INPUT).ok_or_else(|| misused("descriptor 3 is not open"))?;
    let mut input = Zeroizing::new(Vec::with_capacity(INPUT_BYTES_MAX + 1));
    file.take(INPUT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut input)
        .map_err(|error| misused(&format!("cannot read descriptor 3: {error}")))?;
    match input.len() {
        0..=INPUT_BYTES_MAX => Ok(input),
        _ => Err(misused("descriptor 3 has more than 512 bytes")),
    }
}

/// Reads it; `None` for a method no program here knows: perhaps the next one
/// does.
pub fn attempt(input: &[u8]) -> Result<Option<Attempt<'_>>, Exit> {
    Attempt::parse(input)
        .map_err(|Malformed| Exit::new(MISUSED, "descriptor 3 has no login, password and response"))
}

/// Lets the next program decide; without one the password is wrong.
pub fn next(arguments: &[OsString], input: &[u8]) -> Result<ProgramEnd, Exit> {
    if arguments.is_empty() {
        return Err(Exit::new(WRONG, ""));
    }
    let (reader, writer) = os::fd::pipe().map_err(|error| temporary("make a pipe", &error))?;
    // It holds more than this, so nobody has to read meanwhile.
    std::fs::File::from(writer)
        .write_all(input)
        .map_err(|error| temporary("fill a pipe", &error))?;
    let mut command = command(arguments)?;
    os::child::prepare(
        &mut command,
        Setup {
            descriptors: vec![(INPUT, reader)],
            ..Setup::default()
        },
    );
    Err(become_program(command))
}

/// Runs POSTAUTH, if it is set, with the login as its argument, as whoever
/// called us; its exit code is ours unless it is 0.
pub fn after(login: &str, home: &Path) -> Result<(), Exit> {
    let Some(program) = std::env::var_os("POSTAUTH").filter(|program| !program.is_empty()) else {
        return Ok(());
    };
    let mut command = Command::new(&program);
    command.arg(login).env("HOME", home);
    os::child::prepare(&mut command, Setup::default());
    let status = command.status();
    let status = status.map_err(|error| temporary("run POSTAUTH", &error))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Exit::new(u8::try_from(code).unwrap_or(WRONG), "")),
        None => Err(Exit::new(run::TEMPORARY, "POSTAUTH was killed")),
    }
}

/// The named program and its arguments, about to run.
pub fn command(arguments: &[OsString]) -> Result<Command, Exit> {
    let (program, rest) = arguments
        .split_first()
        .ok_or_else(|| Exit::new(MISUSED, "which program?"))?;
    let mut command = Command::new(program);
    command.args(rest);
    Ok(command)
}

/// Becomes a program; comes back only when that fails.
pub fn become_program(mut command: Command) -> Exit {
    let program = Path::new(command.get_program()).display().to_string();
    temporary(&format!("run {program}"), &command.exec())
}

/// The interface of checkpassword as others use it: the named program runs
/// when the password is right.
pub fn is_native() -> bool {
    let set = |name| std::env::var_os(name).is_some();
    set("NATIVE_CHECKPASSWORD") || set("DOVECOT_VERSION")
}

/// For qmail-smtpd, which shows it to the client.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn temporary(what: &str, error: &std::io::Error) -> Exit {
    Exit::new(run::TEMPORARY, format!("cannot {what}: {error}"))
}
