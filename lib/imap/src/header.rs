//! Header fields as they stand in a message, and the words in them.

use std::ops::Range;

/// Most fields looked at in one header; the rest is text nobody asked for.
pub const FIELDS_MAX: usize = 10_000;
/// Longest value of a field that is taken apart.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;

/// One field: its name and where all of it and its value are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// Name, without the colon.
    pub name: &'a [u8],
    /// Value, still folded, without its last line end.
    pub value: &'a [u8],
    /// The whole field, line ends included.
    pub lines: &'a [u8],
}

/// Where the header of a message ends: just after the empty line, or at the
/// end of the text when there is none.
pub fn header_end(text: &[u8]) -> usize {
    let mut start = 0;
    while start < text.len() {
        let end = line_end(text, start);
        if is_empty_line(&text[start..end]) {
            return end;
        }
        start = end;
    }
    text.len()
}

/// The fields of a header, in order. Lines that belong to no field are passed
/// over.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        while start < header.len() {
            let mut end = line_end(header, start);
            while end < header.len() && matches!(header[end], b' ' | b'\t') {
                end = line_end(header, end);
            }
            let lines = &header[start..end];
            start = end;
            if let Some(field) = field(lines) {
                return Some(field);
            }
        }
        None
    })
    .take(FIELDS_MAX)
}

/// The value of the first field of this name, unfolded.
pub fn value(header: &[u8], name: &str) -> Option<Vec<u8>> {
    fields(header)
        .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| unfold(field.value))
}

/// A value on one line: line ends go, and white space at both ends. Cut at
/// [`VALUE_BYTES_MAX`].
pub fn unfold(value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(VALUE_BYTES_MAX)];
    let text: Vec<u8> = value
        .iter()
        .copied()
        .filter(|b| !matches!(b, b'\r' | b'\n' | 0))
        .collect();
    text.trim_ascii().to_vec()
}

/// Just after the line that begins at `start`.
pub fn line_end(text: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at + 1)
}

/// Says whether a line has nothing before its end.
pub fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn field(lines: &[u8]) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', lines)?;
    let name = lines[..colon].trim_ascii_end();
    let fine = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let value = &lines[colon + 1..];
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    fine.then_some(Field { name, value, lines })
}

/// A token of a structured field (RFC 5322 §3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Token {
    /// An atom, dots included, as it stands.
    Atom(Vec<u8>),
    /// A quoted string, unquoted.
    Quoted(Vec<u8>),
    /// A domain literal, brackets included.
    Literal(Vec<u8>),
    /// A comment, outer parentheses removed.
    Comment(Vec<u8>),
    /// Any of the specials.
    Special(u8),
}

/// Takes a structured field apart, in one pass however comments nest.
/// `specials` are the bytes that stand for themselves.
pub fn tokens(value: &[u8], specials: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < value.len() {
        let b = value[at];
        match b {
            b'"' => {
                let (text, end) = delimited(value, at, b'"');
                tokens.push(Token::Quoted(text));
                at = end;
            }
            b'(' => {
                let (range, end) = comment(value, at);
                tokens.push(Token::Comment(value[range].to_vec()));
                at = end;
            }
            b'[' if specials.contains(&b'@') => {
                let end = memchr::memchr(b']', &value[at..])
                    .map_or(value.len(), |length| at + length + 1);
                tokens.push(Token::Literal(value[at..end].to_vec()));
                at = end;
            }
            _ if b.is_ascii_whitespace() => at += 1,
            _ if specials.contains(&b) => {
                tokens.push(Token::Special(b));
                at += 1;
            }
            _ => {
                let end = value[at + 1..]
                    .iter()
                    .position(|b| {
                        b.is_ascii_whitespace() || matches!(b, b'"' | b'(') || specials.contains(b)
                    })
                    .map_or(value.len(), |length| at + 1 + length);
                tokens.push(Token::Atom(value[at..end].to_vec()));
                at = end;
            }
        }
    }
    tokens
}

fn delimited(value: &[u8], start: usize, delimiter: u8) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = start + 1;
    while at < value.len() {
        match value[at] {
            b if b == delimiter => return (text, at + 1),
            b'\\' if at + 1 < value.len() => {
                text.push(value[at + 1]);
                at += 2;
            }
            b => {
                text.push(b);
                at += 1;
            }
        }
    }
    (text, at)
}

/// The inside of a comment and where it ends.
fn comment(value: &[u8], start: usize) -> (Range<usize>, usize) {
    let mut depth = 0usize;
    let mut at = start;
    while at < value.len() {
        match value[at] {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return (start + 1..at, at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    (start + 1..value.len(), value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_at_the_first_empty_line() {
        assert_eq!(header_end(b"A: b\r\n\r\nbody"), 8);
        assert_eq!(header_end(b"\r\nbody"), 2);
        assert_eq!(header_end(b"A: b\r\n"), 6);
        assert_eq!(header_end(b""), 0);
    }

    #[test]
    fn folded_fields_are_one() {
        let header = b"Subject: a\r\n b\r\nnonsense\r\nX:\r\n\r\n";
        let found: Vec<_> = fields(header)
            .map(|field| (field.name, unfold(field.value)))
            .collect();
        assert_eq!(
            found,
            [(&b"Subject"[..], b"a b".to_vec()), (&b"X"[..], Vec::new())]
        );
        assert_eq!(value(header, "SUBJECT"), Some(b"a b".to_vec()));
    }

    #[test]
    fn comments_nest_without_recursion() {
        let deep = [&b"(".repeat(200_000)[..], b"x"].concat();
        assert_eq!(tokens(&deep, b"@").len(), 1);
        assert_eq!(
            tokens(b"a (b (c)\\)) \"d\\\"e\" @[1]", b"@"),
            [
                Token::Atom(b"a".to_vec()),
                Token::Comment(b"b (c)\\)".to_vec()),
                Token::Quoted(b"d\"e".to_vec()),
                Token::Special(b'@'),
                Token::Literal(b"[1]".to_vec()),
            ]
        );
    }
}
