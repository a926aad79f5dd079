//! ismaildup: ends the list when a maildir got another copy of the message.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use delivery::duplicates::{Fingerprint, Memory};
use run::{Exit, Home, Settings};
use settings::local;

use crate::program::{STOP, is_temporary};
use crate::{message, usage};

/// What counts of a program's output.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let [maildir, program @ ..] = arguments else {
        return Err(usage("ismaildup"));
    };
    let file = message::standard_input()?;
    let trouble = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Exit::new(run::TEMPORARY, format!("unable to {what}: {error}"))
    };
    let chosen = match program {
        [] => None,
        program => {
            let copy = delivery::spool(b"", &file).map_err(trouble("read message"))?;
            Some(output(program, Stdio::from(copy))?)
        }
    };
    let recipient = message::variable("RECIPIENT").unwrap_or_default();
    let found =
        Fingerprint::of(&file, &recipient, chosen.as_deref()).map_err(trouble("read message"))?;
    let Some(fingerprint) = found else {
        return Ok(0);
    };
    let settings = Settings::of_process(&Home::find());
    let memory = Memory {
        maildir: Path::new(maildir),
        window_seconds: settings
            .integer(&local::ELIMINATE_DUPS_INT)
            .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?,
    };
    let duplicate = memory
        .is_another_copy(&fingerprint)
        .map_err(trouble("remember the message in the maildir"))?;
    Ok(if duplicate { STOP } else { 0 })
}

/// What a program that succeeds prints of the message.
fn output(program: &[OsString], stdin: Stdio) -> Result<Vec<u8>, Exit> {
    let unable = |error: std::io::Error| {
        let code = match is_temporary(&error) {
            true => run::TEMPORARY,
            false => run::PERMANENT,
        };
        let name = program[0].display();
        Exit::new(code, format!("unable to run {name}: {error}"))
    };
    let mut child = Command::new(&program[0])
        .args(&program[1..])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(unable)?;
    let mut text = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let mut limited = pipe.take(OUTPUT_BYTES_MAX);
        limited.read_to_end(&mut text).map_err(unable)?;
        // What it says beyond that does not matter, but it may say it.
        let mut rest = limited.into_inner();
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(unable)?;
    }
    let status = child.wait().map_err(unable)?;
    match status.success() {
        true => Ok(text),
        false => Err(Exit::new(run::TEMPORARY, "temporary child error")),
    }
}
