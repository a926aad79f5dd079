//! Members of a mailing list (setmaillist(1), printmaillist(1)).
//!
//! As text: one address or list a line, an address with or without `&`, a
//! list as a path that starts with `.` or `/`; blank lines and lines that
//! start with `#` count for nothing, nor do blanks at the end of a line.
//! Compiled: the same entries with their signs, each ended by a NUL.

use crate::BadLine;
use crate::command::{ADDRESS_BYTES_MAX, Command, commands};

/// Compiles a list.
pub fn compile(text: &[u8]) -> Result<Vec<u8>, BadLine> {
    let mut compiled = Vec::new();
    for (at, line) in text.split(|&b| b == b'\n').enumerate() {
        let bad = |why| BadLine { line: at + 1, why };
        let entry = line.trim_ascii_end();
        if entry.is_empty() || entry[0] == b'#' {
            continue;
        }
        if entry.contains(&0) {
            return Err(bad("there is a NUL byte"));
        }
        let command = match Command::parse(entry).unwrap_or(Command::Forward(entry)) {
            Command::Program(_) | Command::Preline(_) => {
                return Err(bad("a list holds no programs"));
            }
            Command::Forward([]) => return Err(bad("the address is empty")),
            Command::Forward(address) if ADDRESS_BYTES_MAX < address.len() => {
                return Err(bad("the address is too long"));
            }
            command => command,
        };
        append(&mut compiled, command);
    }
    Ok(compiled)
}

pub(crate) fn append(compiled: &mut Vec<u8>, command: Command<'_>) {
    compiled.extend(command.to_bytes());
    compiled.push(0);
}

/// Prints a compiled list as text; `None` when it is none.
pub fn print(compiled: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for command in commands(compiled) {
        match command? {
            Command::Program(_) | Command::Preline(_) => return None,
            command => text.extend(command.to_bytes()),
        }
        text.push(b'\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_a_line() {
        let text = b"# members\nann@x \t\n\n&bob@y\r\n./more.bin\n/l.bin";
        let compiled = compile(text).unwrap();
        assert_eq!(compiled, b"&ann@x\0&bob@y\0./more.bin\0/l.bin\0");
        assert_eq!(
            print(&compiled).unwrap(),
            b"&ann@x\n&bob@y\n./more.bin\n/l.bin\n"
        );
    }

    #[test]
    fn what_is_no_member_is_refused() {
        let long = [b'x'; ADDRESS_BYTES_MAX + 1];
        for text in [&b"|prog"[..], b"!prog", b"&", b"a\0b", &long] {
            assert!(compile(text).is_err(), "{}", text.escape_ascii());
        }
        assert_eq!(print(b"|prog\0"), None);
        assert_eq!(print(b"ann@x\0"), None);
    }

    #[test]
    fn a_printed_list_is_the_same_list() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            if let Ok(compiled) = compile(&text) {
                let printed = print(&compiled).unwrap();
                assert_eq!(compile(&printed).unwrap(), compiled);
            }
            Ok(())
        });
    }
}
