//! A header read line by line from a message that may have flaws
//! (queue-and-delivery.md §3.2.4).

use crate::fields::is_name;

/// Most bytes of a header: one with 100 000 recipients fits.
pub const HEADER_LINES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The fields of a header as they arrive.
#[derive(Debug, Default)]
pub struct HeaderLines {
    fields: Vec<Vec<u8>>,
    bytes: usize,
}

/// What a line was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line {
    /// Part of the header.
    Header,
    /// The empty line after the header.
    End,
    /// The first line of the body; there was no empty line.
    Body,
}

/// The header is longer than anybody's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("header is longer than {} bytes", HEADER_LINES_BYTES_MAX)]
pub struct HeaderTooLong;

impl HeaderLines {
    /// Takes a line with its newline; the last one may lack it.
    pub fn push(&mut self, line: &[u8]) -> Result<Line, HeaderTooLong> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        // All of them: what is read again must end where it did.
        let end = text.iter().rposition(|&b| b != b'\r');
        let text = &text[..end.map_or(0, |last| last + 1)];
        let blank = matches!(text.first(), Some(b' ' | b'\t'));
        if text.is_empty() {
            return Ok(Line::End);
        }
        let continues = blank && !self.fields.is_empty();
        let mbox = text.starts_with(b"From ") && !has_name(text);
        if !continues && !mbox && !has_name(text) {
            return Ok(Line::Body);
        }
        self.bytes += line.len();
        if HEADER_LINES_BYTES_MAX < self.bytes {
            return Err(HeaderTooLong);
        }
        if let Some(field) = self.fields.last_mut().filter(|_| continues) {
            append(field, text);
            return Ok(Line::Header);
        }
        let mut field = Vec::new();
        if mbox {
            field.extend_from_slice(b"MBOX-Line: ");
        }
        append(&mut field, text);
        self.fields.push(field);
        Ok(Line::Header)
    }

    /// The fields with their continuation lines, each ending in LF.
    pub fn fields(&self) -> impl Iterator<Item = crate::Field<'_>> {
        self.fields.iter().map(|raw| crate::fields::parse(raw))
    }
}

fn append(field: &mut Vec<u8>, text: &[u8]) {
    field.extend_from_slice(text);
    field.push(b'\n');
}

fn has_name(text: &[u8]) -> bool {
    let colon = memchr::memchr(b':', text);
    colon.is_some_and(|at| is_name(text[..at].trim_ascii_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_where_it_stops_to_be_one() {
        let mut header = HeaderLines::default();
        let mut push = |line: &[u8]| header.push(line).unwrap();
        assert_eq!(push(b"From ann@b Thu May 13 18:34:50 1999\n"), Line::Header);
        assert_eq!(push(b"Subject : one\r\n"), Line::Header);
        assert_eq!(push(b"\ttwo\n"), Line::Header);
        assert_eq!(push(b"From : x\n"), Line::Header);
        assert_eq!(push(b"not a field\n"), Line::Body);
        assert_eq!(push(b"\n"), Line::End);
        let fields: Vec<_> = header.fields().collect();
        assert_eq!(
            fields[0].raw,
            b"MBOX-Line: From ann@b Thu May 13 18:34:50 1999\n"
        );
        assert_eq!(fields[1].raw, b"Subject : one\n\ttwo\n");
        assert!(fields[1].is("subject") && fields[2].is("from"));
    }

    #[test]
    fn only_a_header_can_be_too_long() {
        let long = vec![b'x'; HEADER_LINES_BYTES_MAX + 1];
        assert_eq!(HeaderLines::default().push(&long), Ok(Line::Body));
        let field = [b"X: ", &long[..]].concat();
        assert_eq!(HeaderLines::default().push(&field), Err(HeaderTooLong));
    }

    #[test]
    fn carriage_returns_at_the_end_are_no_text() {
        let mut header = HeaderLines::default();
        assert_eq!(header.push(b"A: b\r\r\n"), Ok(Line::Header));
        assert_eq!(header.fields().next().unwrap().raw, b"A: b\n");
        assert_eq!(header.push(b"\r\r\n"), Ok(Line::End));
    }

    #[test]
    fn what_is_read_is_read_again() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let alphabet = b"aF: \n\t\r\xff";
            let message: Vec<u8> = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()])
                .collect();
            let read = |message: &[u8]| {
                let mut header = HeaderLines::default();
                let mut lines = message.split_inclusive(|&b| b == b'\n');
                while lines
                    .next()
                    .is_some_and(|line| header.push(line) == Ok(Line::Header))
                {}
                header
                    .fields()
                    .flat_map(|field| field.raw.to_vec())
                    .collect::<Vec<u8>>()
            };
            let once = read(&message);
            assert_eq!(read(&once), once);
            Ok(())
        });
    }

    #[test]
    fn a_message_that_starts_with_a_blank_has_no_header() {
        assert_eq!(HeaderLines::default().push(b" x: y\n"), Ok(Line::Body));
    }
}
