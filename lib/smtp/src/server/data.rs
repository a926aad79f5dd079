//! The bytes of a message: from the wire to lines that end in LF.
//!
//! Only CR LF ends a line and only CR LF `.` CR LF ends the message. A CR or
//! LF alone is an error and never anything else: software that disagrees about
//! it is how one message is smuggled inside another.

use memchr::{memchr, memchr2};

/// A CR or LF stood alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BareNewline;

/// How the message is framed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// DATA: dots are stuffed and one ends it.
    Dots,
    /// BDAT: sizes say where it ends.
    Chunks,
}

/// Reads a message piece by piece.
#[derive(Debug)]
pub(super) struct Decoder {
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// At the start of a line.
    Start,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and a CR at the start of a line.
    DotCr,
    /// Within a line.
    Line,
    /// After a CR within a line, or as the first byte of one.
    Cr,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            state: State::Start,
        }
    }

    /// Decodes `input` into `out`; how many bytes were used, and whether the
    /// final dot was among them. Without it, all bytes are used.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), BareNewline> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            self.state = match (self.state, byte) {
                (State::Start, b'.') if self.framing == Framing::Dots => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::DotCr, b'\n') => return Ok((at + 1, true)),
                (State::Cr, b'\n') => {
                    out.push(b'\n');
                    State::Start
                }
                (State::DotCr | State::Cr, _) | (_, b'\n') => return Err(BareNewline),
                (State::Start | State::Line, b'\r') => State::Cr,
                (State::Start | State::Dot | State::Line, _) => {
                    let rest = &input[at..];
                    let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    out.extend_from_slice(&rest[..end]);
                    at += end;
                    self.state = State::Line;
                    continue;
                }
            };
            at += 1;
        }
        Ok((at, false))
    }

    /// Checks that a message may end here, which only BDAT asks.
    pub(super) fn finish(&self) -> Result<(), BareNewline> {
        match self.state {
            State::Cr | State::DotCr => Err(BareNewline),
            State::Start | State::Dot | State::Line => Ok(()),
        }
    }
}

/// Looks at the header while the message flows by: counts hops, and knows
/// which fields a submitted message lacks.
#[derive(Debug, Default)]
pub(super) struct HeaderWatch {
    /// The first bytes of the current line.
    line: Vec<u8>,
    pub(super) hops: u32,
    pub(super) has_date: bool,
    pub(super) has_message_id: bool,
    over: bool,
}

impl HeaderWatch {
    /// Looks at the next lines (ending in LF). The position where the header
    /// ends, before its empty line, once it is in this piece.
    pub(super) fn look(&mut self, piece: &[u8]) -> Option<usize> {
        let mut start = 0;
        let began_earlier = !self.line.is_empty();
        while !self.over && start < piece.len() {
            let (end, complete) = match memchr(b'\n', &piece[start..]) {
                Some(length) => (start + length, true),
                None => (piece.len(), false),
            };
            self.keep(&piece[start..end]);
            if !complete {
                break;
            }
            if self.line.is_empty() || !self.is_field() {
                self.over = true;
                // A line that began in an earlier piece cannot be parted.
                return (start != 0 || !began_earlier).then_some(start);
            }
            self.count();
            self.line.clear();
            start = end + 1;
        }
        None
    }

    /// Says whether the end of the header has been seen.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn keep(&mut self, bytes: &[u8]) {
        /// As much of a line as tells which field it is.
        const KEPT_BYTES_MAX: usize = 80;
        let room = KEPT_BYTES_MAX - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// A field or a continuation; anything else is already the body.
    fn is_field(&self) -> bool {
        match self.line.first() {
            Some(b' ' | b'\t') => true,
            _ => {
                let colon = memchr(b':', &self.line).unwrap_or(self.line.len());
                let name = self.line[..colon].trim_ascii_end();
                !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
            }
        }
    }

    /// qmail-smtpd(8): lines that start like these count as hops.
    fn count(&mut self) {
        let starts = |name: &[u8]| {
            self.line
                .get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        if starts(b"received") || starts(b"delivered") {
            self.hops = self.hops.saturating_add(1);
        }
        self.has_date |= starts(b"date:");
        self.has_message_id |= starts(b"message-id:");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces: the text, how many bytes were used, and whether the
    /// end came.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), BareNewline> {
        let mut decoder = Decoder::new(Framing::Dots);
        let (mut out, mut used) = (Vec::new(), 0);
        for piece in pieces {
            let (length, over) = decoder.decode(piece, &mut out)?;
            used += length;
            if over {
                return Ok((out, used, true));
            }
        }
        Ok((out, used, false))
    }

    #[test]
    fn lines_end_in_lf_and_dots_are_unstuffed() {
        let (text, used, over) = decode(&[b"a\r\n..b\r\n.c\r\n\r\n.\r\nQUIT\r\n"]).unwrap();
        assert_eq!((&text[..], used, over), (&b"a\n.b\nc\n\n"[..], 17, true));
    }

    #[test]
    fn attack_1_nothing_but_crlf_dot_crlf_ends_a_message() {
        for almost in [
            &b"a\n.\n"[..],
            b"a\n.\r\n",
            b"a\r.\r",
            b"a\r\n.\n",
            b"a\r\n.\rx",
            b"a\r.\r\n",
            b"a\r\r\n.\r\n",
            b"a\n\r\n",
        ] {
            assert_eq!(decode(&[almost]), Err(BareNewline), "{almost:?}");
        }
        let (text, _, over) = decode(&[b"a\r\n\0.\r\n"]).unwrap();
        assert_eq!((&text[..], over), (&b"a\n\0.\n"[..], false));
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        property::holds(|u| {
            let mut input = Vec::new();
            for _ in 0..u.int_in_range(0..=12)? {
                let pieces: [&[u8]; 8] = [
                    b"\r\n",
                    b".",
                    b"x",
                    b"\r\n.\r\n",
                    b"\0",
                    b"..",
                    b"\n",
                    b"\r",
                ];
                let piece = u.choose(&pieces)?;
                input.extend_from_slice(piece);
            }
            let (head, tail) = input.split_at(u.int_in_range(0..=input.len())?);
            assert_eq!(decode(&[head, tail]), decode(&[&input]));
            Ok(())
        });
    }

    #[test]
    fn the_header_is_watched_over_any_cut() {
        let text = b"Received: a\n b\nDELIVERED-To: c\nDate: x\n\nReceived: body\n";
        property::holds(|u| {
            let (head, tail) = text.split_at(u.int_in_range(0..=text.len())?);
            let mut watch = HeaderWatch::default();
            let end = match watch.look(head) {
                Some(end) => Some(end),
                None => watch.look(tail).map(|end| end + head.len()),
            };
            assert_eq!(
                (watch.hops, watch.has_date, watch.has_message_id),
                (2, true, false)
            );
            assert_eq!(end, Some(39));
            Ok(())
        });
    }
}
