//! predate, datemail, mailsubj and rmail (queue-and-delivery.md §3.4).

use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

use os::child::Ended;
use run::{Exit, Home, ProgramEnd, TEMPORARY};

const PREDATE: &str = "usage: predate PROGRAM [ARGUMENT...]

Runs PROGRAM on standard input with a Date field, in local time, in front.
Exit codes: those of PROGRAM, 100 wrong use, 111 PROGRAM cannot be run.";
const DATEMAIL: &str = "usage: datemail [SENDMAIL ARGUMENT...]

Runs sendmail on standard input with a Date field in front.
Exit codes: those of sendmail, 111 it cannot be run.";
const MAILSUBJ: &str = "usage: mailsubj SUBJECT RECIPIENT...

Sends standard input, a message without a header, under SUBJECT.
Exit codes: those of qmail-inject, 100 wrong use, 111 it cannot be run.";

const RMAIL: &str = "usage: rmail ADDRESS...

Sends what UUCP brings on standard input: From lines, which name the sender,
then a message.
Exit codes: those of qmail-inject, 100 wrong use, 111 it cannot be run.";
/// Longest first line of a message.
const LINE_BYTES_MAX: u64 = 64 * 1024;

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
    let unix = os::clock::unix_seconds();
    let zone = i16::try_from(os::clock::local_offset(unix) / 60).ok();
    let date = message::Date { unix, zone };
    let date = format!("Date: {}\n", date.to_field_value());
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

/// `rmail address...`: mail that UUCP brings. The `From` lines before the
/// message say who sent it, and over which hosts.
pub fn rmail(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if run::usage::help(RMAIL, &words(arguments).collect::<Vec<_>>()) {
        return Ok(().into());
    }
    if arguments.is_empty() || arguments[0].starts_with(b"-") {
        return Err(run::usage::misused(RMAIL));
    }
    let mut input = io::stdin().lock();
    let mut path = Vec::new();
    let first = loop {
        let mut line = Vec::new();
        let read = input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        read.map_err(|error| Exit::new(TEMPORARY, format!("cannot read: {error}")))?;
        match from_line(&line) {
            Some((user, host)) => path.push((user, host)),
            None => break line,
        }
    };
    let mut command = Command::new(Home::find().bin().join("qmail-inject"));
    let sender = uucp_sender(&path);
    command.arg("-a").arg("-f").arg(OsString::from_vec(sender));
    command.arg("--").args(words(arguments));
    drop(input);
    feed(command, &first)
}

/// `From user date [remote from host]`, with a `>` when a host before this one
/// wrote it: user and host.
fn from_line(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let line = line.strip_prefix(b">").unwrap_or(line);
    let mut words = line
        .strip_prefix(b"From ")?
        .split(|b| b.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let user = words.next()?.to_vec();
    let words: Vec<&[u8]> = words.collect();
    let host = match words[..] {
        [.., b"remote", b"from", host] => host.to_vec(),
        _ => Vec::new(),
    };
    Some((user, host))
}

/// The last host of the whole way is where the user is.
fn uucp_sender(path: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut way = Vec::new();
    for (at, (user, host)) in path.iter().enumerate() {
        way.extend(Some(host.clone()).filter(|host| !host.is_empty()));
        if at + 1 == path.len() {
            way.push(user.clone());
        }
    }
    let way = way.join(&b'!');
    let mut steps = way.rsplit(|&b| b == b'!');
    let user = steps.next().unwrap_or_default();
    match steps.next() {
        Some(host) if !user.contains(&b'@') => [user, b"@", host].concat(),
        _ => user.to_vec(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_uucp_mail_names_its_sender() {
        let sender = |lines: &[&str]| {
            let path: Vec<_> = lines
                .iter()
                .map(|l| from_line(l.as_bytes()).unwrap())
                .collect();
            String::from_utf8(uucp_sender(&path)).unwrap()
        };
        let date = "Thu May 13 18:34:50 1999";
        assert_eq!(sender(&[]), "");
        assert_eq!(sender(&[&format!("From ann {date}\n")]), "ann");
        assert_eq!(
            sender(&[&format!("From ann@b.c {date} remote from x\n")]),
            "ann@b.c"
        );
        let near = format!("From x!ann {date} remote from near\n");
        let far = format!(">From ann {date} remote from far\n");
        assert_eq!(sender(&[&near]), "ann@x");
        assert_eq!(sender(&[&near, &far]), "ann@far");
        assert_eq!(from_line(b"From: ann\n"), None);
    }
}
