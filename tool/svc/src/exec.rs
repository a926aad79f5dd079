//! Becoming the child program, and errors every tool has.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use run::Exit;

/// A wrong call: the usage line is printed.
pub fn usage() -> Exit {
    Exit::new(run::PERMANENT, "")
}

/// A system call that failed.
pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Exit {
    let what = what.into();
    move |error| Exit::new(run::TEMPORARY, format!("unable to {what}: {error}"))
}

/// The child's command, environment as it is.
pub fn child(arguments: &[OsString]) -> Result<Command, Exit> {
    let (program, rest) = arguments.split_first().ok_or_else(usage)?;
    let mut command = Command::new(program);
    command.args(rest);
    Ok(command)
}

/// Becomes the child; comes back only when that fails.
pub fn exec(mut command: Command) -> Exit {
    let program = Path::new(command.get_program()).display().to_string();
    let error = command.exec();
    system(format!("run {program}"))(error)
}
