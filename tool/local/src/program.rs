//! Programs that our programs run.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use run::Exit;

/// Success, and qmail-local reads no further lines.
pub(crate) const STOP: u8 = 99;

/// Runs a program and returns its exit code; 100 when there is no such
/// program, 111 when it crashed.
pub(crate) fn status(program: &[OsString], stdin: Stdio) -> Result<i32, Exit> {
    let result = Command::new(&program[0])
        .args(&program[1..])
        .stdin(stdin)
        .status();
    match result {
        Ok(status) => Ok(status.code().unwrap_or(i32::from(run::TEMPORARY))),
        Err(error) if is_temporary(&error) => Err(Exit::new(
            run::TEMPORARY,
            format!("unable to run {}: {error}", program[0].display()),
        )),
        Err(_) => Ok(i32::from(run::PERMANENT)),
    }
}

/// Says whether a program that did not start may start later.
pub(crate) fn is_temporary(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidInput
    )
}

/// Runs a command line on the message with `prefix` in front. Its exit codes
/// mean what they mean in a `.qmail` file; 99 is a success like any other.
pub(crate) fn shell(command: &[u8], prefix: &[u8], message: &File) -> Result<(), Exit> {
    let temporary = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| Exit::new(run::TEMPORARY, format!("{what}: {error}"))
    };
    let copy = delivery::spool(prefix, message).map_err(temporary("unable to copy message"))?;
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(OsStr::from_bytes(command))
        .stdin(Stdio::from(copy))
        .status()
        .map_err(temporary("unable to run /bin/sh"))?;
    let code = status
        .code()
        .map_or(run::TEMPORARY, delivery::exit_code_of_program);
    match code {
        0 | STOP => Ok(()),
        // The program has said why.
        code => Err(Exit::new(code, "")),
    }
}
