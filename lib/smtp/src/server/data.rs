//! The bytes of a message: from the wire to lines that end in LF.
//!
//! Only CR LF ends a line and only CR LF `.` CR LF ends the message. A CR or
//! LF alone is an error and never anything else: software that disagrees about
//! it is how one message is smuggled inside another.

use memchr::memchr2;

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
}
