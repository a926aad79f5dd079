//! A stored message as the text of DATA (RFC 5321 §4.5.2).

/// Turns a message as it is stored, lines ending in LF, into what goes over
/// the wire.
///
/// Every line ends in CR LF, and nothing else does: a CR that is not part of
/// a line end becomes a space. So what one server takes for the end of the
/// message cannot be the middle of it for another (SMTP smuggling), and the
/// next server sees the same lines as every filter here did.
#[derive(Debug)]
pub struct TextEncoder {
    line_start: bool,
    carriage_return: bool,
    dots: bool,
}

impl Default for TextEncoder {
    fn default() -> Self {
        Self {
            line_start: true,
            carriage_return: false,
            dots: true,
        }
    }
}

impl TextEncoder {
    /// Makes the text that a server has when it has undone the dots: what
    /// DKIM signs.
    pub fn without_dots() -> Self {
        Self {
            dots: false,
            ..Self::default()
        }
    }

    /// Appends a piece of the message to `out`.
    pub fn encode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 32);
        while let Some((&first, rest)) = piece.split_first() {
            if self.carriage_return {
                self.carriage_return = false;
                if first != b'\n' {
                    self.begin(b' ', out);
                }
            }
            match first {
                b'\r' => {
                    self.carriage_return = true;
                    piece = rest;
                }
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                    piece = rest;
                }
                _ => {
                    let end = memchr::memchr2(b'\r', b'\n', piece).unwrap_or(piece.len());
                    self.begin(first, out);
                    out.extend_from_slice(&piece[1..end]);
                    piece = &piece[end..];
                }
            }
        }
    }

    /// Appends what ends the message: the last line's end, should it be
    /// missing, and the line with the dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.line_start || self.carriage_return {
            out.extend_from_slice(b"\r\n");
        }
        if self.dots {
            out.extend_from_slice(b".\r\n");
        }
    }

    fn begin(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.dots && self.line_start && byte == b'.' {
            out.push(b'.');
        }
        self.line_start = false;
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = TextEncoder::default();
        for piece in pieces {
            encoder.encode(piece, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    #[test]
    fn lines_get_their_ends_and_dots_are_doubled() {
        assert_eq!(encode(&[b"a\n.\n..b\n"]), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(encode(&[b""]), b".\r\n");
        assert_eq!(encode(&[b"no end"]), b"no end\r\n.\r\n");
        assert_eq!(encode(&[b"a\r\nb\r\n"]), b"a\r\nb\r\n.\r\n");
    }

    #[test]
    fn without_dots_only_the_line_ends_change() {
        let mut out = Vec::new();
        let mut encoder = TextEncoder::without_dots();
        encoder.encode(b"a\n.b\nc", &mut out);
        encoder.finish(&mut out);
        assert_eq!(out, b"a\r\n.b\r\nc\r\n");
    }

    // Attack 1, the outbound half.
    #[test]
    fn no_stored_byte_sequence_ends_the_message_early() {
        for smuggled in [
            &b"a\n.\r\nMAIL FROM:<x>\n"[..],
            b"a\r.\rMAIL\n",
            b"a\r\n.\nMAIL\n",
            b"a\n.\rMAIL\n",
            b"a\r.\r\nMAIL\n",
            b"a\r\n\0.\r\nMAIL\n",
            b"\r\n.\r\n",
            b".\r",
            b"\r",
        ] {
            is_harmless(&encode(&[smuggled]));
        }
        assert_eq!(encode(&[b"a\r.\rb\n"]), b"a . b\r\n.\r\n");
    }

    #[test]
    fn where_the_message_is_cut_does_not_matter_and_the_dot_is_last() {
        property::holds(|u| {
            let alphabet = property::bytes(u)?;
            let input: Vec<u8> = alphabet
                .iter()
                .map(|b| b"\r\n.x\0 \xff"[usize::from(b % 7)])
                .collect();
            let cut = u.int_in_range(0..=input.len())?;
            let (head, tail) = input.split_at(cut);
            let whole = encode(&[&input]);
            assert_eq!(encode(&[head, tail]), whole);
            is_harmless(&whole);
            Ok(())
        });
    }

    /// CR and LF come in pairs only, and a lone dot only at the end.
    fn is_harmless(wire: &[u8]) {
        for (at, &byte) in wire.iter().enumerate() {
            match byte {
                b'\r' => assert_eq!(wire.get(at + 1), Some(&b'\n')),
                b'\n' => assert_eq!(wire[at - 1], b'\r'),
                _ => {}
            }
        }
        let text = wire.strip_suffix(b".\r\n").unwrap();
        assert!(text.is_empty() || text.ends_with(b"\r\n"));
        let mut lines = text.split(|&b| b == b'\n');
        assert!(!lines.any(|line| line == b".\r"));
    }
}
