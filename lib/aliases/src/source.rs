//! The text form of a forwarding table (setforward(1), printforward(1)):
//! `target: command, command;`.
//!
//! White space counts for nothing and `#` starts a comment that ends with its
//! line; after a backslash any byte is an ordinary one. A command without a
//! sign is an address; `?address` names who gets the bounces.

use crate::BadLine;
use crate::command::{Command, commands};
use crate::record::{Record, key};

/// Longest command or target.
pub const WORD_BYTES_MAX: usize = 800;

/// Reads all entries, in their order.
pub fn parse(text: &[u8]) -> Result<Vec<Record>, BadLine> {
    let mut reader = Reader {
        line: 1,
        rest: text,
        word: Vec::new(),
    };
    let mut records = Vec::new();
    while let Some(target) = reader.target()? {
        reader.entry(&target, &mut records)?;
    }
    Ok(records)
}

struct Reader<'a> {
    line: usize,
    rest: &'a [u8],
    word: Vec<u8>,
}

impl Reader<'_> {
    /// What stands before the next colon; `None` at the end.
    fn target(&mut self) -> Result<Option<Vec<u8>>, BadLine> {
        match self.word()? {
            Some(b':') if !self.word.is_empty() => Ok(Some(std::mem::take(&mut self.word))),
            None if self.word.is_empty() => Ok(None),
            _ => Err(self.bad("a target and a colon are missing")),
        }
    }

    /// The commands up to the semicolon.
    fn entry(&mut self, target: &[u8], records: &mut Vec<Record>) -> Result<(), BadLine> {
        let mut data = Vec::new();
        loop {
            let end = self.word()?;
            // Taken before the errors, which name the line where they were
            // seen.
            let word = std::mem::take(&mut self.word);
            match (end, &word[..]) {
                (Some(b',' | b';'), []) => {}
                (Some(b',' | b';'), [b'?', owner @ ..]) => {
                    records.push(Record::owner(target, owner));
                }
                (Some(b',' | b';'), word) => {
                    let command = Command::parse(word).unwrap_or(Command::Forward(word));
                    data.extend(command.to_bytes());
                    data.push(0);
                }
                _ => return Err(self.bad("a semicolon is missing")),
            }
            if end == Some(b';') {
                break;
            }
        }
        if !data.is_empty() {
            let key = key(b':', target);
            records.push(Record { key, data });
        }
        Ok(())
    }

    /// Collects a word and returns the sign that ended it.
    fn word(&mut self) -> Result<Option<u8>, BadLine> {
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b',' | b';' | b':' => return Ok(Some(byte)),
                b'#' => {
                    let end = self.rest.iter().position(|&b| b == b'\n');
                    self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
                }
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                b'\\' => {
                    let Some((&byte, rest)) = self.rest.split_first() else {
                        return Err(self.bad("nothing follows the backslash"));
                    };
                    self.rest = rest;
                    self.line += usize::from(byte == b'\n');
                    self.push(byte)?;
                }
                byte => self.push(byte)?,
            }
        }
        Ok(None)
    }

    fn push(&mut self, byte: u8) -> Result<(), BadLine> {
        if byte == 0 {
            return Err(self.bad("there is a NUL byte"));
        }
        if WORD_BYTES_MAX <= self.word.len() {
            return Err(self.bad("a target or command is too long"));
        }
        self.word.push(byte);
        Ok(())
    }

    fn bad(&self, why: &'static str) -> BadLine {
        BadLine {
            line: self.line,
            why,
        }
    }
}

/// Prints a record so that [`parse`] reads it again; `None` when it is none
/// of a forwarding table.
pub fn print(record_key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let (kind, target) = record_key.split_first()?;
    let words: Vec<Vec<u8>> = match kind {
        b'?' => vec![[b"?", data.strip_suffix(b"\0").unwrap_or(data)].concat()],
        b':' => commands(data)
            .map(|command| command.map(Command::to_bytes))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    // What a backslash cannot hide was not made by this program.
    if words.iter().any(|word| word.contains(&0)) || target.contains(&0) {
        return None;
    }
    let words: Vec<Vec<u8>> = words.iter().map(|word| escape(word)).collect();
    Some([&escape(target)[..], b": ", &words.join(&b", "[..]), b";\n"].concat())
}

fn escape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in word {
        if b",;:#\\ \t\r\n".contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> Vec<(String, String)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let records = parse(text).unwrap().into_iter();
        records.map(|r| (text_of(r.key), text_of(r.data))).collect()
    }

    #[test]
    fn targets_commands_and_owners() {
        let text = b"# comment: x;\nRoot@h: ann@x , & bob @ y,\n |prog\\ a\\,b, ?owner@h;\n\
                     @h:./list.bin;empty@h:;";
        let expected = [
            ("?root@h", "owner@h"),
            (":root@h", "&ann@x\0&bob@y\0|prog a,b\0"),
            (":@h", "./list.bin\0"),
        ];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let long = [b"a:", &[b'x'; WORD_BYTES_MAX + 1][..], b";"].concat();
        for (text, line) in [
            (&b"a: b\nc"[..], 2),
            (b"\n: b;", 2),
            (b"a", 1),
            (b"a: b\0;", 1),
            (b"a: b: c;", 1),
            (b"a: b\\", 1),
            (&long, 1),
        ] {
            assert_eq!(
                parse(text).unwrap_err().line,
                line,
                "{}",
                text.escape_ascii()
            );
        }
        let just = [b"a:", &[b'x'; WORD_BYTES_MAX][..], b";"].concat();
        assert!(parse(&just).is_ok());
    }

    #[test]
    fn a_printed_table_is_the_same_table() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            let Ok(records) = parse(&text) else {
                return Ok(());
            };
            let mut printed = Vec::new();
            for record in &records {
                printed.extend(print(&record.key, &record.data).unwrap());
            }
            assert_eq!(parse(&printed).unwrap(), records);
            Ok(())
        });
    }

    #[test]
    fn any_table_is_printed_and_read_again() {
        property::holds(|u| {
            let alphabet = b"ab@.,;:#\\ \t\n|!&/?\xff";
            let mut word = |least: usize| -> Result<Vec<u8>, property::arbitrary::Error> {
                let length = u.int_in_range(least..=8)?;
                (0..length).map(|_| u.choose(alphabet).copied()).collect()
            };
            let (target, address, program) = (word(1)?, word(1)?, word(0)?);
            let commands = [Command::Forward(&address), Command::Program(&program)];
            for record in [
                Record::target(&target, &commands),
                Record::owner(&target, &address),
            ] {
                let printed = print(&record.key, &record.data).unwrap();
                assert_eq!(parse(&printed).unwrap(), [record]);
            }
            Ok(())
        });
    }
}
