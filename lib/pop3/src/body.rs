//! A message as it goes over the wire: CR LF, dots doubled, a dot at the end.

/// Encodes one message, piece by piece (RFC 1939 §3 and §7 TOP).
#[derive(Clone, Debug)]
pub struct Body {
    /// Lines after the header that are still to go; `None` is all.
    lines_left: Option<u32>,
    part: Part,
    line: Line,
    after_cr: bool,
}

/// What went out of the current line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    Nothing,
    /// One CR.
    Cr,
    Something,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Header,
    Text,
    /// Enough lines went out.
    Over,
}

impl Body {
    /// The whole message, or with `lines` its header, the empty line, and as
    /// many lines of text.
    pub fn new(lines: Option<u32>) -> Self {
        Self {
            lines_left: lines,
            part: Part::Header,
            line: Line::Nothing,
            after_cr: false,
        }
    }

    /// Encodes the next piece of the message.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 32);
        for line in piece.split_inclusive(|&byte| byte == b'\n') {
            if self.is_over() {
                return;
            }
            self.push_line(line, out);
        }
    }

    /// Ends the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.line != Line::Nothing {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
        self.part = Part::Over;
    }

    /// Says whether more of the message would be of no use.
    pub fn is_over(&self) -> bool {
        self.part == Part::Over || self.part == Part::Text && self.lines_left == Some(0)
    }

    /// Takes one line, or a part of one.
    fn push_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let (content, ended) = match line.strip_suffix(b"\n") {
            Some(content) => (content, true),
            None => (line, false),
        };
        if self.line == Line::Nothing && content.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(content);
        if let Some(&last) = content.last() {
            self.after_cr = last == b'\r';
            self.line = match (self.line, content) {
                (Line::Nothing, b"\r") => Line::Cr,
                _ => Line::Something,
            };
        }
        if !ended {
            return;
        }
        let empty = self.line != Line::Something;
        self.end_line(out);
        match self.part {
            Part::Header if empty => self.part = Part::Text,
            Part::Text => self.lines_left = self.lines_left.map(|left| left.saturating_sub(1)),
            Part::Header | Part::Over => {}
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
        self.line = Line::Nothing;
        self.after_cr = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(message: &[u8], lines: Option<u32>, piece: usize) -> Vec<u8> {
        let (mut body, mut wire) = (Body::new(lines), Vec::new());
        for piece in message.chunks(piece) {
            let mut out = Vec::new();
            body.push(piece, &mut out);
            wire.extend(out);
        }
        body.finish(&mut wire);
        wire
    }

    #[test]
    fn dots_are_doubled_and_lines_end_with_crlf() {
        assert_eq!(
            encode(b"A: b\n\n.\n..x\r\ny.", None, 99),
            b"A: b\r\n\r\n..\r\n...x\r\ny.\r\n.\r\n"
        );
        assert_eq!(encode(b"", None, 1), b".\r\n");
    }

    #[test]
    fn top_counts_lines_after_the_header() {
        let message = b"A: b\r\n\r\none\ntwo\nthree";
        assert_eq!(encode(message, Some(0), 99), b"A: b\r\n\r\n.\r\n");
        assert_eq!(encode(message, Some(1), 99), b"A: b\r\n\r\none\r\n.\r\n");
        assert_eq!(
            encode(message, Some(9), 99),
            b"A: b\r\n\r\none\r\ntwo\r\nthree\r\n.\r\n"
        );
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        property::holds(|u| {
            let mut message = Vec::new();
            for _ in 0..u.int_in_range(0..=30)? {
                message.extend_from_slice(u.choose(&[&b"\r"[..], b"\n", b"\r\n", b".", b"x"])?);
            }
            let lines = u.choose(&[None, Some(0), Some(2)])?;
            let piece = u.int_in_range(1..=4)?;
            assert_eq!(
                encode(&message, *lines, piece),
                encode(&message, *lines, 99)
            );
            Ok(())
        });
    }

    /// What a client gets by the rules is the message again.
    #[test]
    fn a_client_reads_what_is_stored() {
        property::holds(|u| {
            let mut message = Vec::new();
            for _ in 0..u.int_in_range(0..=30)? {
                message.extend_from_slice(u.choose(&[&b"."[..], b"\n", b"..", b"x"])?);
            }
            if !message.is_empty() && !message.ends_with(b"\n") {
                message.push(b'\n');
            }
            let wire = encode(&message, None, 5);
            let mut read = Vec::new();
            for line in wire.split_inclusive(|&byte| byte == b'\n') {
                let line = line.strip_suffix(b"\r\n").unwrap();
                if line == b"." {
                    break;
                }
                read.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                read.push(b'\n');
            }
            assert_eq!(read, message);
            Ok(())
        });
    }
}
