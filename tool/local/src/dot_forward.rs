//! dot-forward: instructions in the format of sendmail's `.forward`.
//!
//! Only forwards and program lines; `:include:` and files are refused.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use aliases::sendmail;
use run::Exit;

use crate::program::{STOP, shell};
use crate::{message, tables, usage};

/// Largest file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What one entry of the file asks for.
#[derive(Debug, Eq, PartialEq)]
enum Entry {
    /// Deliver as if there were no file.
    Direct,
    Forward(Vec<u8>),
    Program(Vec<u8>),
}

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut print = false;
    let mut files = arguments;
    while let [first, rest @ ..] = files {
        match first.as_bytes() {
            b"-n" => print = true,
            b"-N" => print = false,
            b"--" => {
                files = rest;
                break;
            }
            letters if letters.starts_with(b"-") => return Err(usage("dot-forward")),
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
    let entries = parse(&text, &own_addresses(), &tables::names()?)
        .map_err(|why| Exit::new(run::TEMPORARY, why))?;
    if print {
        for entry in &entries {
            let (word, value) = match entry {
                Entry::Direct => ("direct", &b""[..]),
                Entry::Forward(address) => ("forward", &address[..]),
                Entry::Program(command) => ("program", &command[..]),
            };
            let line = [word.as_bytes(), b" ", value].concat();
            let _ = io::stdout().write_all(&[line.trim_ascii_end(), b"\n"].concat());
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
            Entry::Program(command) => shell(command, &lines.concat(), &file)?,
            Entry::Direct => {}
        }
    }
    if !recipients.is_empty() {
        let sender = message::needed("NEWSENDER")?;
        let qp = message::queue("dot-forward", &lines[2], &file, &sender, &recipients)?;
        println!("dot-forward: qp {qp}");
    }
    Ok(match entries.contains(&Entry::Direct) {
        true => 0,
        false => STOP,
    })
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

/// Reads the entries, or says what is not supported.
fn parse(text: &[u8], own: &[Vec<u8>], names: &::message::Names) -> Result<Vec<Entry>, String> {
    let mut all = Vec::new();
    for (at, line) in text.split(|&b| b == b'\n').enumerate() {
        if line.starts_with(b"#") {
            continue;
        }
        let bad = |why: &str| format!("line {}: {why}", at + 1);
        if line.contains(&0) {
            return Err(bad("there is a NUL byte"));
        }
        let entries = sendmail::entries(line).map_err(|error| bad(&error.to_string()))?;
        for entry in entries {
            all.push(match entry {
                sendmail::Entry::Program(command) => Entry::Program(command),
                sendmail::Entry::Include(_) => return Err(bad(":include: is not supported here")),
                sendmail::Entry::File(_) => {
                    return Err(bad("delivery to files is not supported here"));
                }
                sendmail::Entry::Address(mut list) => {
                    let is_own = list
                        .addresses()
                        .any(|raw| own.iter().any(|own| own.eq_ignore_ascii_case(&raw)));
                    list.rewrite(names);
                    match list.addresses().next() {
                        _ if is_own => Entry::Direct,
                        Some(address) if !address.is_empty() => Entry::Forward(address),
                        _ => return Err(bad("an address is empty")),
                    }
                }
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Entry>, String> {
        let own = [b"joe".to_vec(), b"joe@h".to_vec()];
        let names = ::message::Names::new(b"here.org", b"org", b"org");
        parse(text, &own, &names)
    }

    #[test]
    fn the_format_of_sendmail() {
        let text = b"# no\nann@x.y, \"|prog a, b\" , Bob (a, b) <bob@y.z>\n\\joe\nJoe@H, eve";
        let expected = [
            Entry::Forward(b"ann@x.y".to_vec()),
            Entry::Program(b"prog a, b".to_vec()),
            Entry::Forward(b"bob@y.z".to_vec()),
            Entry::Direct,
            Entry::Direct,
            Entry::Forward(b"eve@here.org".to_vec()),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_supported_waits_for_the_user() {
        for text in [
            &b"\n/var/mail/x"[..],
            b"\n:include:/x",
            b"\n\"a",
            b"\n<>",
            b"a\n\0",
        ] {
            let why = read(text).unwrap_err();
            assert!(why.starts_with("line 2: "), "{why}");
        }
    }
}
