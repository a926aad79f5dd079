//! dot-forward: instructions in the format of sendmail's `.forward`.
//!
//! Only forwards and program lines; `:include:` and files are refused.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use run::Exit;

use crate::{message, usage};

const STOP: u8 = 99;
/// Largest file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What one entry of the file asks for.
#[derive(Debug, Eq, PartialEq)]
enum Entry {
    /// Deliver as if there were no file.
    Direct,
    Forward(Vec<u8>),
    Program(Vec<u8>),
    Refused(Vec<u8>),
}

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut print = false;
    let mut files = arguments;
    while let [first, rest @ ..] = files {
        match first.as_bytes() {
            b"-n" => print = true,
            b"-N" => print = false,
            _ => break,
        }
        files = rest;
    }
    if files.is_empty() {
        return Err(usage("dot-forward"));
    }
    let Some(text) = first_file(files)? else {
        return Ok(0);
    };
    let entries = parse(&text, &own_addresses());
    if let Some(Entry::Refused(what)) = entries.iter().find(|e| matches!(e, Entry::Refused(_))) {
        let shown = text::log::printable(what, 200);
        return Err(Exit::new(
            run::TEMPORARY,
            format!("{shown} is not supported here"),
        ));
    }
    if print {
        for entry in &entries {
            let (word, value) = match entry {
                Entry::Direct => ("direct", &b""[..]),
                Entry::Forward(address) => ("forward", &address[..]),
                Entry::Program(command) => ("program", &command[..]),
                Entry::Refused(what) => ("refused", &what[..]),
            };
            let line = [word.as_bytes(), b" ", value, b"\n"].concat();
            let _ = io::stdout().write_all(&line);
        }
        return Ok(0);
    }
    carry_out(&entries)
}

fn carry_out(entries: &[Entry]) -> Result<u8, Exit> {
    let file = message::standard_input()?;
    let lines = [
        message::line("UFLINE")?,
        message::line("RPLINE")?,
        message::line("DTLINE")?,
    ];
    let mut recipients = Vec::new();
    for entry in entries {
        match entry {
            Entry::Forward(address) => recipients.push(address.clone()),
            Entry::Program(command) => {
                let copy = delivery::spool(&lines.concat(), &file).map_err(|error| {
                    Exit::new(run::TEMPORARY, format!("unable to copy message: {error}"))
                })?;
                run_program(command, copy)?;
            }
            Entry::Direct | Entry::Refused(_) => {}
        }
    }
    if !recipients.is_empty() {
        let sender = message::needed("NEWSENDER")?;
        let qp = message::queue("dot-forward", &lines[2], &file, &sender, &recipients)?;
        println!("dot-forward: qp {qp}");
    }
    Ok(if entries.contains(&Entry::Direct) {
        0
    } else {
        STOP
    })
}

fn run_program(command: &[u8], copy: std::fs::File) -> Result<(), Exit> {
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(std::ffi::OsStr::from_bytes(command))
        .stdin(Stdio::from(copy))
        .status();
    let status = status
        .map_err(|error| Exit::new(run::TEMPORARY, format!("unable to run /bin/sh: {error}")))?;
    let code = status
        .code()
        .map_or(run::TEMPORARY, delivery::exit_code_of_program);
    match code {
        0 | STOP => Ok(()),
        // The program has said why.
        code => Err(Exit::new(code, "")),
    }
}

/// The content of the first file that exists and is not empty.
fn first_file(files: &[OsString]) -> Result<Option<Vec<u8>>, Exit> {
    for file in files {
        match std::fs::read(file) {
            Ok(text) if FILE_BYTES_MAX < text.len() => {
                return Err(Exit::new(run::TEMPORARY, "file is too long"));
            }
            Ok(text) if !text.is_empty() => return Ok(Some(text)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("unable to read {}: {error}", file.display());
                return Err(Exit::new(run::TEMPORARY, text));
            }
        }
    }
    Ok(None)
}

/// Addresses that mean the user: `USER` and `USER@HOST`.
fn own_addresses() -> Vec<Vec<u8>> {
    let user = message::variable("USER").unwrap_or_default();
    let host = message::variable("HOST").unwrap_or_default();
    let with_host = [&user[..], b"@", &host].concat();
    vec![user, with_host]
}

fn parse(text: &[u8], own: &[Vec<u8>]) -> Vec<Entry> {
    text.split(|&b| b == b'\n')
        .filter(|line| !line.starts_with(b"#"))
        .flat_map(split_at_commas)
        .map(|piece| entry(&piece, own))
        .collect()
}

fn entry(piece: &[u8], own: &[Vec<u8>]) -> Entry {
    let unquoted = match piece {
        [b'"', inner @ .., b'"'] => inner,
        piece => piece,
    };
    // A leading backslash means: no further aliases; it is direct delivery.
    let plain = unquoted.strip_prefix(b"\\").unwrap_or(unquoted);
    if let Some(command) = unquoted.strip_prefix(b"|") {
        return Entry::Program(command.trim_ascii().to_vec());
    }
    if unquoted.starts_with(b":include:") || unquoted.starts_with(b"/") {
        return Entry::Refused(unquoted.to_vec());
    }
    if own
        .iter()
        .any(|address| address.eq_ignore_ascii_case(plain))
    {
        return Entry::Direct;
    }
    let angle = piece.iter().position(|&b| b == b'<');
    let address = match angle.map(|at| &piece[at + 1..]) {
        Some(rest) => rest.split(|&b| b == b'>').next().unwrap_or(rest),
        None => plain,
    };
    match own.iter().any(|own| own.eq_ignore_ascii_case(address)) {
        true => Entry::Direct,
        false => Entry::Forward(address.to_vec()),
    }
}

/// The parts of a line between commas outside quotes, without what stands in
/// parentheses; empty ones are left out.
fn split_at_commas(line: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let (mut quoted, mut depth) = (false, 0_usize);
    for &byte in line {
        match byte {
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => {
                depth += 1;
                continue;
            }
            b')' if !quoted && 0 < depth => {
                depth -= 1;
                continue;
            }
            b',' if !quoted && depth == 0 => {
                pieces.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if depth == 0
            && let Some(piece) = pieces.last_mut()
        {
            piece.push(byte);
        }
    }
    let trimmed = pieces.iter().map(|piece| piece.trim_ascii().to_vec());
    trimmed.filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_sendmail() {
        let text =
            b"# no\nann@x, \"|prog a, b\" , Bob (a, b) <bob@y>\n\\joe\n/var/mail/x\n:include:/y\n";
        let own = [b"joe".to_vec(), b"joe@h".to_vec()];
        let expected = [
            Entry::Forward(b"ann@x".to_vec()),
            Entry::Program(b"prog a, b".to_vec()),
            Entry::Forward(b"bob@y".to_vec()),
            Entry::Direct,
            Entry::Refused(b"/var/mail/x".to_vec()),
            Entry::Refused(b":include:/y".to_vec()),
        ];
        assert_eq!(parse(text, &own), expected);
    }
}
