//! 822headerfilter and 822bodyfilter: programs that see a part of the
//! message only.

use std::ffi::OsStr;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use message::Line;
use os::child::Ended;
use run::{Exit, PERMANENT, ProgramEnd, TEMPORARY};

use super::{Input, say};

fn command(arguments: &[Vec<u8>]) -> Result<Command, Exit> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err(Exit::new(PERMANENT, "a program is missing; see --help"));
    };
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(rest.iter().map(|word| OsStr::from_bytes(word)));
    Ok(command)
}

fn end(program: &str, child: std::process::Child) -> Result<ProgramEnd, Exit> {
    match os::child::wait(child) {
        Ok(Ended::Code(code)) => Ok(u8::try_from(code).unwrap_or(TEMPORARY).into()),
        Ok(Ended::Signal(_)) => Err(Exit::new(TEMPORARY, format!("{program} crashed"))),
        Err(error) => Err(cannot_run(program, &error)),
    }
}

fn cannot_run(program: &str, error: &io::Error) -> Exit {
    Exit::new(TEMPORARY, format!("cannot run {program}: {error}"))
}

/// `822headerfilter program...`: the program reads the header.
pub fn header_filter(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let mut command = command(arguments)?;
    let program = command.get_program().to_string_lossy().into_owned();
    let start = Input::open().start()?;
    let child = command.stdin(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| cannot_run(&program, &error))?;
    if let Some(mut pipe) = child.stdin.take() {
        for field in start.header.fields() {
            // One that stops reading says why by its exit code.
            if pipe.write_all(field.raw).is_err() {
                break;
            }
        }
    }
    end(&program, child)
}

/// `822bodyfilter program...`: the header as it is, then what the program
/// makes of the body.
pub fn body_filter(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let mut command = command(arguments)?;
    let program = command.get_program().to_string_lossy().into_owned();
    // The program reads where the body starts, not where our buffer ends.
    let unseekable =
        |error: io::Error| Exit::new(TEMPORARY, format!("standard input must be a file: {error}"));
    let input = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
    let mut input = std::fs::File::from(input.map_err(unseekable)?);
    let begin = input.stream_position().map_err(unseekable)?;
    let start = Input::open().start()?;
    for field in start.header.fields() {
        say(field.raw)?;
    }
    if start.end == Some(Line::End) {
        say(b"\n")?;
    }
    input
        .seek(SeekFrom::Start(begin + start.bytes))
        .map_err(unseekable)?;
    io::stdout()
        .flush()
        .map_err(|error| cannot_run(&program, &error))?;
    let child = command.stdin(Stdio::from(input)).spawn();
    end(
        &program,
        child.map_err(|error| cannot_run(&program, &error))?,
    )
}
