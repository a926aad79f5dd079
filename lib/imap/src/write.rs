//! Strings of answers: quoted where that is possible, else literals.

/// Longest text we quote.
const QUOTED_BYTES_MAX: usize = 1000;

/// Appends a string.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    let quotable =
        text.len() <= QUOTED_BYTES_MAX && text.iter().all(|&b| matches!(b, 0x20..=0x7e | b'\t'));
    if !quotable {
        return literal(out, text);
    }
    out.push(b'"');
    for &b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Appends a string or NIL.
pub fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends a literal. RFC 3501 §9 has no NUL in literals; what a message says
/// there becomes 0x80, which keeps offsets and sizes as they are.
pub fn literal(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
    let start = out.len();
    out.extend_from_slice(text);
    for b in &mut out[start..] {
        if *b == 0 {
            *b = 0x80;
        }
    }
}

/// A name as an astring of text: an atom when it can be one, else quoted.
/// Bytes that no quoted string can hold become `?`.
pub fn astring(text: &[u8]) -> String {
    let atom = !text.is_empty()
        && !text.eq_ignore_ascii_case(b"NIL")
        && text.iter().copied().all(crate::parse::is_atom_byte);
    if atom {
        return text.iter().copied().map(char::from).collect();
    }
    let mut out = String::from("\"");
    for &b in text {
        match b {
            b'"' | b'\\' => out.extend(['\\', char::from(b)]),
            0x20..=0x7e => out.push(char::from(b)),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_string_early() {
        let mut out = Vec::new();
        string(&mut out, b"a\"b\\c");
        string(&mut out, b"x\r\n* BYE");
        string(&mut out, "ü".as_bytes());
        nstring(&mut out, None);
        literal(&mut out, b"a\0b");
        assert_eq!(
            out,
            b"\"a\\\"b\\\\c\"{8}\r\nx\r\n* BYE{2}\r\n\xc3\xbcNIL{3}\r\na\x80b"
        );
        assert_eq!(astring(b"X-A\"\r\n"), "\"X-A\\\"??\"");
    }
}
