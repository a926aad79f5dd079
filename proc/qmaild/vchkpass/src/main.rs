//! vchkpass: checks the password of a virtual user, with the interface of
//! checkpassword (virtual-domains.md §11.1, §11.2).
//!
//! Runs as whoever calls it, mostly `qmaild`; inlookup decides who may ask.
//! Descriptor 3: `login NUL password-or-challenge NUL response NUL`, and
//! perhaps the number of a method and NUL, 512 bytes at most. What it cannot
//! decide, and what is wrong, goes unchanged to the program its arguments
//! name, on a new descriptor 3.
//!
//! Exit codes: 0 right, 1 wrong, 2 misused, 3 right but not for relaying, 111
//! not now; those of POSTAUTH when that is set. With NATIVE_CHECKPASSWORD or
//! DOVECOT_VERSION in the environment it becomes the named program when the
//! password is right, as checkpassword does.
//!
//! Unlike the original it reads no database and learns no hash.

mod ask;
mod request;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use os::child::Setup;
use run::{Exit, Home, ProgramEnd};
use wire::lookup::{Account, Login};
use zeroize::Zeroizing;

use request::Attempt;

const USAGE: &str = "usage: vchkpass [PROGRAM [ARGUMENTS]]

Checks login and password on descriptor 3 and runs PROGRAM with the same
descriptor when they are wrong. With NATIVE_CHECKPASSWORD set it runs PROGRAM
when they are right. Variables: TCPREMOTEIP, SERVICE, POSTAUTH.
Exit codes: 0 right, 1 wrong, 2 misused, 3 right but not for relaying, 111 not
now.";
/// Where the login is.
const INPUT: i32 = 3;
/// Most bytes of it (checkpassword's interface).
const INPUT_BYTES_MAX: usize = 512;
const WRONG: u8 = 1;
const MISUSED: u8 = 2;
const NO_RELAY: u8 = 3;

fn main() -> ExitCode {
    run::process("vchkpass", || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(ProgramEnd::from(()));
        }
        let input = input()?;
        let Ok(attempt) = Attempt::parse(&input) else {
            return Err(Exit::new(
                MISUSED,
                "descriptor 3 has no login, password and response",
            ));
        };
        let Some(attempt) = attempt else {
            // A method we know nothing of: perhaps the next one does.
            return next(&arguments, &input);
        };
        match ask::login(&Home::find(), &attempt) {
            Ok(Login::Granted(account)) => granted(&arguments, &account),
            Ok(Login::Forbidden(why)) => {
                say(&format!("553-Sorry, {why} (#5.7.1)"));
                Err(Exit::new(WRONG, ""))
            }
            Ok(Login::Refused) if is_native() => Err(Exit::new(WRONG, "")),
            Ok(Login::Refused) => next(&arguments, &input),
            Err(why) => {
                say("454-temporary authentication failure (#4.3.0)");
                Err(Exit::new(run::TEMPORARY, why))
            }
        }
    })
}

fn input() -> Result<Zeroizing<Vec<u8>>, Exit> {
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

fn granted(arguments: &[OsString], account: &Account) -> Result<ProgramEnd, Exit> {
    let home = Path::new(&account.maildir)
        .parent()
        .unwrap_or(Path::new("/"));
    if let Some(program) = std::env::var_os("POSTAUTH").filter(|program| !program.is_empty()) {
        let status = Command::new(&program)
            .arg(&account.address)
            .env("HOME", home)
            .status();
        let status = status.map_err(|error| temporary("run POSTAUTH", &error))?;
        match status.code() {
            Some(0) => {}
            Some(code) => return Err(Exit::new(u8::try_from(code).unwrap_or(WRONG), "")),
            None => return Err(Exit::new(run::TEMPORARY, "POSTAUTH was killed")),
        }
    }
    if is_native() {
        let mut command = command(arguments)?;
        command
            .env("USER", &account.address)
            .env("HOME", home)
            .env("MAILDIR", &account.maildir)
            .env("userdb_home", home)
            .env("userdb_mail", format!("maildir:{}", account.maildir))
            .env("EXTRA", "userdb_home userdb_mail");
        return Err(become_program(command));
    }
    match account.may_relay {
        true => Ok(ProgramEnd::from(())),
        false => Err(Exit::new(NO_RELAY, "")),
    }
}

/// Lets the next program decide.
fn next(arguments: &[OsString], input: &[u8]) -> Result<ProgramEnd, Exit> {
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

fn command(arguments: &[OsString]) -> Result<Command, Exit> {
    let (program, rest) = arguments
        .split_first()
        .ok_or_else(|| Exit::new(MISUSED, "which program?"))?;
    let mut command = Command::new(program);
    command.args(rest);
    Ok(command)
}

/// Comes back only when that fails.
fn become_program(mut command: Command) -> Exit {
    let program = Path::new(command.get_program()).display().to_string();
    temporary(&format!("run {program}"), &command.exec())
}

/// The interface of checkpassword as others use it.
fn is_native() -> bool {
    let set = |name| std::env::var_os(name).is_some();
    set("NATIVE_CHECKPASSWORD") || set("DOVECOT_VERSION")
}

/// For qmail-smtpd, which shows it to the client.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn temporary(what: &str, error: &std::io::Error) -> Exit {
    Exit::new(run::TEMPORARY, format!("cannot {what}: {error}"))
}
