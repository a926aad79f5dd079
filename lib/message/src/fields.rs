//! The fields of a header that is in memory.

/// One field with its continuation lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// All bytes of the field, with its last newline when it has one.
    pub raw: &'a [u8],
    /// What stands before the colon, without blanks at its end; empty for a
    /// line that is not a field.
    pub name: &'a [u8],
    /// What stands after the colon, still folded.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Compares the whole name, ignoring ASCII case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: folds become one space, blanks around it go.
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.value)
    }
}

/// Iterates over the fields before the first empty line. Lines that are not
/// fields come with an empty name, so that nothing of the header is lost.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = &message[..body_offset(message)];
    std::iter::from_fn(move || {
        if rest.is_empty() || rest == b"\n" {
            return None;
        }
        let mut end = line_end(rest);
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end += line_end(&rest[end..]);
        }
        let (raw, after) = rest.split_at(end);
        rest = after;
        Some(parse(raw))
    })
}

/// Where the body starts: after the first empty line, or at the end.
pub fn body_offset(message: &[u8]) -> usize {
    let mut offset = 0;
    while offset < message.len() {
        let end = line_end(&message[offset..]);
        if message[offset] == b'\n' {
            return offset + 1;
        }
        offset += end;
    }
    offset
}

/// Says whether these lines can stand in a header: fields with their
/// continuation lines, and nothing else.
pub fn are_fields(lines: &[u8]) -> bool {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let is_field = |line: &[u8]| {
        let colon = memchr::memchr(b':', line);
        colon.is_some_and(|at| is_name(line[..at].trim_ascii_end()))
    };
    let mut split = lines.split(|&b| b == b'\n').enumerate();
    split.all(|(at, line)| match line.first() {
        Some(b' ' | b'\t') => 0 < at && !line.trim_ascii().is_empty(),
        _ => is_field(line),
    })
}

pub(crate) fn parse(raw: &[u8]) -> Field<'_> {
    let line = raw.strip_suffix(b"\n").unwrap_or(raw);
    match memchr::memchr(b':', line) {
        Some(colon) if is_name(line[..colon].trim_ascii_end()) => Field {
            raw,
            name: line[..colon].trim_ascii_end(),
            value: &line[colon + 1..],
        },
        _ => Field {
            raw,
            name: b"",
            value: line,
        },
    }
}

/// RFC 5322 §3.6.8: printable, no space.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| matches!(b, 33..=126))
}

fn line_end(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1)
}

/// Joins folded lines; other control bytes become spaces too.
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for line in value.split(|&b| b == b'\n') {
        if !out.is_empty() {
            out.push(b' ');
        }
        let line = line.trim_ascii();
        out.extend(
            line.iter()
                .map(|&b| if b.is_ascii_control() { b' ' } else { b }),
        );
    }
    out.trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_fields_stay_together() {
        let message = b"Subject: one\n two\nTo : ann\nnot a field\n\nX: body\n";
        let found: Vec<_> = fields(message).collect();
        assert_eq!(found.len(), 3);
        assert!(found[0].is("SUBJECT"));
        assert_eq!(found[0].unfolded(), b"one two");
        assert!(found[1].is("to"));
        assert_eq!(found[2].name, b"");
        assert_eq!(&message[body_offset(message)..], b"X: body\n");
    }

    #[test]
    fn lines_for_a_header_cannot_end_it() {
        for good in ["X-A: 1", "X-A: 1\n", "X-A:\n 1\n\t2\nX-B: 3\n"] {
            assert!(are_fields(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "",
            "\n",
            "X-A: 1\n\nbody",
            "text",
            " X-A: 1",
            "X-A: 1\n \nX-B: 2",
            "X A: 1",
        ] {
            assert!(!are_fields(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn fields_and_body_are_the_whole_message() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let message: Vec<u8> = letters
                .iter()
                .map(|b| b"a: \n\tb"[usize::from(b % 6)])
                .collect();
            let header: Vec<u8> = fields(&message).flat_map(|f| f.raw.to_vec()).collect();
            assert!(message.starts_with(&header));
            let between = body_offset(&message) - header.len();
            assert!(between <= 1, "only the empty line lies between");
            Ok(())
        });
    }
}
