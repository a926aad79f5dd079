//! What stands between the commas of a sendmail file.

use message::{AddressList, SyntaxError};

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// An address in header syntax; exactly one in the list.
    Address(AddressList),
    /// A command after `|`.
    Program(Vec<u8>),
    /// The file after `:include:`.
    Include(Vec<u8>),
    /// A name that starts with `/`.
    File(Vec<u8>),
}

/// Reads the entries of a line.
pub fn entries(line: &[u8]) -> Result<Vec<Entry>, SyntaxError> {
    let mut all = Vec::new();
    for piece in pieces(line)? {
        let unquoted = unquote(piece).unwrap_or_else(|| piece.to_vec());
        if let Some(command) = unquoted.strip_prefix(b"|") {
            all.push(Entry::Program(command.trim_ascii().to_vec()));
        } else if let Some(path) = strip_include(&unquoted) {
            all.push(Entry::Include(path.to_vec()));
        } else if unquoted.starts_with(b"/") {
            all.push(Entry::File(unquoted));
        } else {
            let list = AddressList::parse(piece)?;
            for address in list.bare() {
                // A piece can hold several: blanks separate addresses too.
                // The brackets keep a source route together.
                let one = [b"<", &address[..], b">"].concat();
                all.push(Entry::Address(AddressList::parse(&one)?));
            }
        }
    }
    Ok(all)
}

fn strip_include(entry: &[u8]) -> Option<&[u8]> {
    const SIGN: &[u8] = b":include:";
    let (head, path) = entry.split_at_checked(SIGN.len())?;
    let is = head.eq_ignore_ascii_case(SIGN);
    is.then(|| path.trim_ascii())
}

/// The parts between commas that stand neither in quotes nor in parentheses
/// nor in angle brackets; empty ones are left out.
fn pieces(line: &[u8]) -> Result<Vec<&[u8]>, SyntaxError> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut depth, mut angle) = (0, false, 0_usize, false);
    let mut escaped = false;
    for (at, &byte) in line.iter().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).ok_or(SyntaxError)?,
            _ if 0 < depth => {}
            b'<' => angle = true,
            b'>' => angle = false,
            b',' if !angle => {
                pieces.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted || 0 < depth {
        return Err(SyntaxError);
    }
    pieces.push(&line[start..]);
    let trimmed = pieces.into_iter().map(<[u8]>::trim_ascii);
    Ok(trimmed.filter(|piece| !piece.is_empty()).collect())
}

/// What a piece that is one quoted string says.
fn unquote(piece: &[u8]) -> Option<Vec<u8>> {
    let inner = piece.strip_prefix(b"\"")?;
    let mut content = Vec::new();
    let mut bytes = inner.iter();
    loop {
        match bytes.next()? {
            b'\\' => content.push(*bytes.next()?),
            b'"' => return bytes.as_slice().is_empty().then_some(content),
            byte => content.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &[u8]) -> Vec<String> {
        let all = entries(line).unwrap().into_iter();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        all.map(|entry| match entry {
            Entry::Address(list) => format!("address {}", text(list.addresses().next().unwrap())),
            Entry::Program(command) => format!("program {}", text(command)),
            Entry::Include(path) => format!("include {}", text(path)),
            Entry::File(path) => format!("file {}", text(path)),
        })
        .collect()
    }

    #[test]
    fn every_kind_of_entry() {
        let line = b"ann, \"|a b, c\", |prog, :include:/x,\":include:/y\" , /var/mail/x, \
            \"Bob, B.\" <bob@y>, <@a,@b:c@d>, \\joe, \"|a\"@h, (none, here) eve";
        let expected = [
            "address ann",
            "program a b, c",
            "program prog",
            "include /x",
            "include /y",
            "file /var/mail/x",
            "address bob@y",
            "address @a,@b:c@d",
            "address joe",
            "address |a@h",
            "address eve",
        ];
        assert_eq!(shown(line), expected);
    }

    #[test]
    fn a_line_that_does_not_end_is_refused() {
        for line in [&b"\"a"[..], b"(a", b"a)", b"<a"] {
            assert!(entries(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn every_address_entry_is_one_address() {
        property::holds(|u| {
            let alphabet = b"ab@.,:;|/\"\\ ()<>\t";
            let letters = property::bytes(u)?;
            let line: Vec<u8> = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()])
                .collect();
            for entry in entries(&line).unwrap_or_default() {
                if let Entry::Address(list) = entry {
                    assert_eq!(list.addresses().count(), 1, "{}", line.escape_ascii());
                }
            }
            Ok(())
        });
    }
}
