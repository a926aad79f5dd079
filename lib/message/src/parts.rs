//! The lines of a message in MIME parts, told apart as they come: fields of
//! its header and of the headers of its parts, the line a part begins with,
//! and all others.

use std::mem;
use std::ops::ControlFlow;

/// As much of a line as is kept.
pub const LINE_BYTES_MAX: usize = 1024;
/// As much of an unfolded field.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;
/// Parts within parts that are followed.
const DEPTH_MAX: usize = 20;

/// What a line was, or some lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// A field, unfolded, without the end of its line.
    Field(&'a [u8]),
    /// The first line of a part that is not blank.
    First(&'a [u8]),
    /// Another line of a body.
    Line(&'a [u8]),
}

/// How a walk goes on after a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// As a message does.
    On,
    /// A header follows, for a reason of the caller's.
    Header,
    /// Not at all.
    Stop,
}

/// A message being looked at, in pieces of any length whose lines end in LF.
#[derive(Debug, Default)]
pub struct Walk {
    state: State,
    /// The first bytes of the current line.
    line: Vec<u8>,
    /// The current field, unfolded.
    field: Vec<u8>,
    /// Boundaries of the parts we are in, the innermost last.
    boundaries: Vec<Vec<u8>>,
    /// The body of this part is a message.
    is_message: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Header,
    First,
    Rest,
    Stopped,
}

impl Walk {
    /// Looks at the next bytes.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Piece<'_>) -> Then) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let (text, is_complete) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if is_complete && self.end_of_line(&mut each).is_break() {
                return;
            }
        }
    }

    /// The message is complete.
    pub fn finish(mut self, mut each: impl FnMut(Piece<'_>) -> Then) {
        if !self.line.is_empty() && self.end_of_line(&mut each).is_break() {
            return;
        }
        if self.state != State::Stopped {
            let _ = self.end_of_field(&mut each);
        }
    }

    fn end_of_line(&mut self, each: &mut impl FnMut(Piece<'_>) -> Then) -> ControlFlow<()> {
        let line = mem::take(&mut self.line);
        let flow = match self.state {
            State::Header => self.header_line(&line, each),
            State::First | State::Rest => self.body_line(&line, each),
            State::Stopped => ControlFlow::Break(()),
        };
        // The room is used again.
        self.line = line;
        self.line.clear();
        flow
    }

    fn header_line(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(Piece<'_>) -> Then,
    ) -> ControlFlow<()> {
        if let Some(b' ' | b'\t') = line.first() {
            let room = FIELD_BYTES_MAX - self.field.len();
            self.field.extend_from_slice(&line[..line.len().min(room)]);
            return ControlFlow::Continue(());
        }
        self.end_of_field(each)?;
        if !line.is_empty() {
            self.field.extend_from_slice(line);
            return ControlFlow::Continue(());
        }
        // A message within the message has a header of its own.
        self.state = match mem::take(&mut self.is_message) {
            true => State::Header,
            false => State::First,
        };
        ControlFlow::Continue(())
    }

    fn end_of_field(&mut self, each: &mut impl FnMut(Piece<'_>) -> Then) -> ControlFlow<()> {
        let field = mem::take(&mut self.field);
        if field.is_empty() {
            return ControlFlow::Continue(());
        }
        let then = each(Piece::Field(&field));
        if let Some(value) = content_type(&field) {
            let kind = value.trim_ascii_start().get(..14);
            self.is_message = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"message/rfc822"));
            if let Some(boundary) = boundary(value)
                && self.boundaries.len() < DEPTH_MAX
            {
                self.boundaries.push(boundary);
            }
        }
        self.follow(then)
    }

    fn body_line(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(Piece<'_>) -> Then,
    ) -> ControlFlow<()> {
        if let Some(rest) = line.strip_prefix(b"--")
            && self.is_boundary(rest)
        {
            return ControlFlow::Continue(());
        }
        // Blank lines before the first one hide nothing.
        let is_first = self.state == State::First && !line.trim_ascii().is_empty();
        let then = if is_first {
            self.state = State::Rest;
            each(Piece::First(line))
        } else {
            each(Piece::Line(line))
        };
        self.follow(then)
    }

    fn follow(&mut self, then: Then) -> ControlFlow<()> {
        match then {
            Then::On => ControlFlow::Continue(()),
            Then::Header => {
                self.state = State::Header;
                ControlFlow::Continue(())
            }
            Then::Stop => {
                self.state = State::Stopped;
                ControlFlow::Break(())
            }
        }
    }

    /// A line that parts parts, of this or of an outer one.
    fn is_boundary(&mut self, rest: &[u8]) -> bool {
        let found = self
            .boundaries
            .iter()
            .rposition(|boundary| rest.starts_with(boundary));
        let Some(at) = found else {
            return false;
        };
        let is_last = rest[self.boundaries[at].len()..].starts_with(b"--");
        let kept = if is_last { at } else { at + 1 };
        self.boundaries.truncate(kept);
        self.state = if is_last { State::Rest } else { State::Header };
        true
    }
}

fn content_type(field: &[u8]) -> Option<&[u8]> {
    let colon = field.iter().position(|&b| b == b':')?;
    field[..colon]
        .trim_ascii()
        .eq_ignore_ascii_case(b"content-type")
        .then(|| &field[colon + 1..])
}

/// The parameter, quoted or bare.
fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"boundary=";
    let at = value
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME))?;
    let rest = &value[at + NAME.len()..];
    let text = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|&b| b == b'"').next(),
        None => rest.split(|b| b";, \t".contains(b)).next(),
    };
    text.filter(|text| !text.is_empty()).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        let mut each = |piece: Piece<'_>| {
            let (kind, text) = match piece {
                Piece::Field(text) => ("field", text),
                Piece::First(text) => ("first", text),
                Piece::Line(text) => ("line", text),
            };
            told.push(format!("{kind} {}", String::from_utf8_lossy(text)));
            Then::On
        };
        let mut walk = Walk::default();
        walk.push(message, &mut each);
        walk.finish(&mut each);
        told
    }

    #[test]
    fn parts_have_headers_of_their_own() {
        let message = b"Subject: a\n b\nContent-Type: multipart/mixed;\n\tboundary=\"x\"\n\n\
            preamble\n--x\nContent-Type: text/plain\n\n\nhello\nworld\n--x\n\
            Content-Type: message/rfc822\n\nSubject: inner\n\nbody\n--x--\nepilogue";
        assert_eq!(
            told(message),
            [
                "field Subject: a b",
                "field Content-Type: multipart/mixed;\tboundary=\"x\"",
                "first preamble",
                "field Content-Type: text/plain",
                "line ",
                "first hello",
                "line world",
                "field Content-Type: message/rfc822",
                "field Subject: inner",
                "first body",
                "line epilogue",
            ]
        );
    }

    #[test]
    fn nothing_is_told_after_a_stop_and_a_header_may_be_announced() {
        let mut walk = Walk::default();
        let mut told = 0;
        walk.push(b"A: 1\nB: 2\nC: 3\n\n", |_| {
            told += 1;
            if told == 2 { Then::Stop } else { Then::On }
        });
        walk.finish(|_| panic!("stopped"));
        assert_eq!(told, 2);

        let mut walk = Walk::default();
        let mut fields = Vec::new();
        walk.push(b"A: 1\n\n---\nB: 2\n\n", |piece| {
            if let Piece::Field(field) = piece {
                fields.push(field.to_vec());
            }
            match piece {
                Piece::First(b"---") => Then::Header,
                _ => Then::On,
            }
        });
        assert_eq!(fields, [b"A: 1", b"B: 2"]);
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let words: [&[u8]; 8] = [
                b"\n",
                b"--x",
                b"x",
                b": ",
                b" ",
                b"Content-Type: a/b; boundary=x\n",
                b"--",
                b"\r\n",
            ];
            let message: Vec<u8> = letters
                .iter()
                .flat_map(|b| words[usize::from(*b) % words.len()].to_vec())
                .collect();
            let whole = told(&message);
            let mut pieces = Vec::new();
            let mut each = |piece: Piece<'_>| {
                pieces.push(format!("{piece:?}"));
                Then::On
            };
            let mut walk = Walk::default();
            for byte in &message {
                walk.push(&[*byte], &mut each);
            }
            walk.finish(&mut each);
            assert_eq!(pieces.len(), whole.len());
            Ok(())
        });
    }
}
