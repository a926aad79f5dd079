//! preline: runs a program on the message with lines in front.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use run::Exit;

use crate::program::is_temporary;
use crate::{message, usage};

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut left_out = Vec::new();
    let mut program = arguments;
    while let [first, rest @ ..] = program {
        let Some(letters) = first.as_bytes().strip_prefix(b"-") else {
            break;
        };
        program = rest;
        match letters {
            b"-" => break,
            letters if letters.iter().all(|letter| b"frde".contains(letter)) => {
                left_out.extend_from_slice(letters);
            }
            _ => return Err(usage("preline")),
        }
    }
    let [name, arguments @ ..] = program else {
        return Err(usage("preline"));
    };
    let mut prefix = Vec::new();
    for (letter, variable) in [(b'f', "UFLINE"), (b'r', "RPLINE"), (b'd', "DTLINE")] {
        if !left_out.contains(&letter) {
            prefix.extend(message::line(variable)?);
        }
    }
    if !left_out.contains(&b'e') {
        prefix.extend(message::extra_lines());
    }
    let file = message::standard_input()?;
    let copy = delivery::spool(&prefix, &file)
        .map_err(|error| Exit::new(run::TEMPORARY, format!("unable to copy message: {error}")))?;
    let status = Command::new(name)
        .args(arguments)
        .stdin(Stdio::from(copy))
        .status()
        .map_err(|error| {
            let code = match is_temporary(&error) {
                true => run::TEMPORARY,
                false => run::PERMANENT,
            };
            Exit::new(code, format!("unable to run {}: {error}", name.display()))
        })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.ok_or_else(|| Exit::new(run::TEMPORARY, "child crashed"))
}
