//! predate, datemail and mailsubj (queue-and-delivery.md §3.4).

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

use os::child::Ended;
use run::{Exit, Home, ProgramEnd, TEMPORARY};

const PREDATE: &str = "usage: predate PROGRAM [ARGUMENT...]

Runs PROGRAM on standard input with a Date field in front.
Exit codes: those of PROGRAM, 100 wrong use, 111 PROGRAM cannot be run.";
const DATEMAIL: &str = "usage: datemail [SENDMAIL ARGUMENT...]

Runs sendmail on standard input with a Date field in front.
Exit codes: those of sendmail, 111 it cannot be run.";
const MAILSUBJ: &str = "usage: mailsubj SUBJECT RECIPIENT...

Sends standard input, a message without a header, under SUBJECT.
Exit codes: those of qmail-inject, 100 wrong use, 111 it cannot be run.";

/// Runs a program with a `Date` field before its standard input.
pub fn predate(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let shown: Vec<OsString> = words(arguments).collect();
    if run::usage::help(PREDATE, &shown) {
        return Ok(().into());
    }
    run::usage::no_options("predate", &shown)?;
    before(arguments)
}

fn before(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let Some((program, arguments)) = arguments.split_first() else {
        return Err(run::usage::misused(PREDATE));
    };
    let mut command = Command::new(std::ffi::OsStr::from_bytes(program));
    command.args(words(arguments));
    let date = format!("Date: {}\n", tai::header_date(os::clock::unix_seconds()));
    feed(command, date.as_bytes())
}

/// `predate sendmail arguments`
pub fn datemail(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if run::usage::help(DATEMAIL, &words(arguments).collect::<Vec<_>>()) {
        return Ok(().into());
    }
    let sendmail = Home::find().bin().join("sendmail").into_os_string();
    let mut line = vec![sendmail.into_vec()];
    line.extend_from_slice(arguments);
    before(&line)
}

/// Sends standard input under a subject.
pub fn mailsubj(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if run::usage::help(MAILSUBJ, &words(arguments).collect::<Vec<_>>()) {
        return Ok(().into());
    }
    let [subject, recipients @ ..] = arguments else {
        return Err(run::usage::misused(MAILSUBJ));
    };
    if recipients.is_empty() {
        return Err(run::usage::misused(MAILSUBJ));
    }
    // Arguments must not add fields.
    let line = |text: &[u8]| -> Vec<u8> {
        let replace = |&b: &u8| if b.is_ascii_control() { b' ' } else { b };
        text.iter().map(replace).collect()
    };
    let recipients: Vec<Vec<u8>> = recipients.iter().map(|r| line(r)).collect();
    let header = [
        b"Subject: ",
        &line(subject)[..],
        b"\nTo: ",
        &recipients.join(&b",\n  "[..]),
        b"\n\n",
    ]
    .concat();
    feed(
        Command::new(Home::find().bin().join("qmail-inject")),
        &header,
    )
}

/// Runs a program on `head` and then our standard input; its exit code is
/// ours.
fn feed(mut command: Command, head: &[u8]) -> Result<ProgramEnd, Exit> {
    let program = command.get_program().to_string_lossy().into_owned();
    let trouble = |error: io::Error| Exit::new(TEMPORARY, format!("cannot run {program}: {error}"));
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(trouble)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that stops reading says why by its exit code.
        let fed = pipe
            .write_all(head)
            .and_then(|()| io::copy(&mut io::stdin().lock(), &mut pipe));
        if let Err(error) = fed
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            // It must not take half a message for a whole one.
            let _ = child.kill();
            return Err(Exit::new(TEMPORARY, format!("cannot read: {error}")));
        }
    }
    match os::child::wait(child).map_err(trouble)? {
        Ended::Code(code) => Ok(u8::try_from(code).unwrap_or(TEMPORARY).into()),
        Ended::Signal(_) => Err(Exit::new(TEMPORARY, format!("{program} crashed"))),
    }
}

fn words(arguments: &[Vec<u8>]) -> impl Iterator<Item = OsString> + '_ {
    arguments
        .iter()
        .map(|word| OsString::from_vec(word.clone()))
}
