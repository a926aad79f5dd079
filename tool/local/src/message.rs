//! The message on descriptor 0 and what qmail-local says about it.

use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use delivery::Site;
use delivery::forward::{self, Forward};
use run::{Exit, Home};

/// The message, seekable.
pub(crate) fn standard_input() -> Result<File, Exit> {
    let file = os::fd::inherit_file(0)
        .ok_or_else(|| Exit::new(run::TEMPORARY, "descriptor 0 is closed"))?;
    delivery::seekable(file)
        .map_err(|error| Exit::new(run::TEMPORARY, format!("unable to read message: {error}")))
}

/// A variable of qmail-local.
pub(crate) fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// A variable without which there is nothing to do.
pub(crate) fn needed(name: &str) -> Result<Vec<u8>, Exit> {
    variable(name).ok_or_else(|| {
        let text = format!("{name} is not set; qmail-local sets it for program lines");
        Exit::new(run::PERMANENT, text)
    })
}

/// A variable that is one line: whatever it holds, one line comes out.
pub(crate) fn line(name: &str) -> Result<Vec<u8>, Exit> {
    Ok(one_line(needed(name)?))
}

fn one_line(mut text: Vec<u8>) -> Vec<u8> {
    if text.ends_with(b"\n") {
        text.pop();
    }
    for byte in &mut text {
        if *byte == b'\n' {
            *byte = b'_';
        }
    }
    text.push(b'\n');
    text
}

/// The header lines of the queue, with a final newline if there are any.
pub(crate) fn extra_lines() -> Vec<u8> {
    let mut lines = variable("QQEH").unwrap_or_default();
    if !lines.is_empty() && !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    lines
}

/// The lines preline(1) puts in front.
pub(crate) fn preline() -> Result<Vec<u8>, Exit> {
    Ok([
        line("UFLINE")?,
        line("RPLINE")?,
        line("DTLINE")?,
        extra_lines(),
    ]
    .concat())
}

/// Queues a message; the number for `qp`.
pub(crate) fn queue(
    name: &'static str,
    prefix: &[u8],
    message: &File,
    sender: &[u8],
    recipients: &[Vec<u8>],
) -> Result<u32, Exit> {
    if recipients
        .iter()
        .any(|address| address.is_empty() || address.contains(&0))
    {
        return Err(Exit::new(run::PERMANENT, "impossible address"));
    }
    let site = Site::open(name, Home::find())
        .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
    // Who sends under another name asks for nothing.
    let is_same = std::env::var_os("SENDER").is_some_and(|old| old.as_bytes() == sender);
    let wishes = match is_same {
        true => run::variables::wishes(),
        false => Vec::new(),
    };
    let forward = Forward {
        prefix,
        message,
        sender,
        recipients,
        trace: run::Tracer::id_of_process(),
        wishes: &wishes,
    };
    forward::send(&site, forward).map_err(|refused| {
        let code = match refused.permanent {
            true => run::PERMANENT,
            false => run::TEMPORARY,
        };
        Exit::new(code, format!("unable to forward message: {}", refused.text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_makes_one_header_line() {
        assert_eq!(one_line(b"A: b\n".to_vec()), b"A: b\n");
        assert_eq!(one_line(b"A: b\nBcc: c".to_vec()), b"A: b_Bcc: c\n");
    }
}
