//! Cuts what arrives into commands and literals.
//!
//! A literal is announced before its bytes come, so that the session can
//! refuse it, or pass it on in pieces, without ever holding it.

use crate::parse;

/// Largest piece of a message handed on at once.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// What has arrived.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A complete command (or line), literals inside, line end removed.
    Command(Vec<u8>),
    /// A literal is announced: accept, refuse or stream it.
    Literal(Literal),
    /// Bytes of a literal that is streamed.
    Chunk(Vec<u8>),
    /// The streamed literal is complete; this was the rest of its line.
    StreamEnd(Vec<u8>),
    /// Longer than the limit: nothing more can be understood.
    TooLong,
    /// Nothing complete yet.
    More,
}

/// The announcement of a literal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Literal {
    /// How many bytes.
    pub(crate) length: u64,
    /// The client waits for `+`.
    pub(crate) synchronizing: bool,
    /// Where in the line its `{` is.
    at: usize,
}

#[derive(Debug, Default)]
enum Mode {
    #[default]
    Line,
    /// The session decides about this literal.
    Announced(Literal),
    Stream {
        left: u64,
    },
    StreamEnd,
    /// A refused literal without `+` comes nevertheless.
    Skip {
        left: u64,
    },
    /// ... and then the rest of its command.
    SkipLine,
}

#[derive(Debug, Default)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    /// Where the current line of the command begins.
    line: usize,
    /// No line end before this.
    scanned: usize,
    mode: Mode,
}

impl Input {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether anything is left that was not taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next event; a command with its literals has at most `bytes_max`.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Event {
        loop {
            match self.mode {
                Mode::Line => return self.next_line(bytes_max),
                Mode::Announced(_) => return Event::More,
                Mode::Stream { left: 0 } => self.mode = Mode::StreamEnd,
                Mode::Stream { left } => {
                    let length = self.buffer.len().min(CHUNK_BYTES_MAX);
                    let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
                    if length == 0 {
                        return Event::More;
                    }
                    let left = left - length as u64;
                    self.mode = Mode::Stream { left };
                    return Event::Chunk(self.buffer.drain(..length).collect());
                }
                Mode::StreamEnd => match self.find_line_end(bytes_max) {
                    Ok(end) => {
                        self.mode = Mode::Line;
                        return Event::StreamEnd(self.take(end));
                    }
                    Err(event) => return event,
                },
                Mode::Skip { left: 0 } => self.mode = Mode::SkipLine,
                Mode::Skip { left } => {
                    let length = self.buffer.len();
                    let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
                    if length == 0 {
                        return Event::More;
                    }
                    self.buffer.drain(..length);
                    let left = left - length as u64;
                    self.mode = Mode::Skip { left };
                }
                Mode::SkipLine => match self.find_line_end(bytes_max) {
                    Ok(end) => {
                        let line = self.take(end);
                        self.mode = match literal(&line) {
                            Some(literal) if !literal.synchronizing => Mode::Skip {
                                left: literal.length,
                            },
                            _ => Mode::Line,
                        };
                    }
                    Err(event) => return event,
                },
            }
        }
    }

    /// What of the command stands before the announced literal.
    pub(crate) fn before_literal(&self) -> &[u8] {
        match self.mode {
            Mode::Announced(literal) => &self.buffer[..self.line + literal.at],
            _ => &[],
        }
    }

    /// Lets the announced literal become part of the command.
    pub(crate) fn accept(&mut self) {
        if let Mode::Announced(literal) = self.mode {
            // Too large a literal is caught by the limit of the next line.
            self.line = self
                .scanned
                .saturating_add(usize::try_from(literal.length).unwrap_or(usize::MAX));
            self.scanned = self.line;
            self.mode = Mode::Line;
        }
    }

    /// Ends the command at its literal. One without `+` arrives all the same
    /// and is passed over.
    pub(crate) fn refuse(&mut self) {
        if let Mode::Announced(literal) = self.mode {
            self.buffer.drain(..self.scanned);
            (self.line, self.scanned) = (0, 0);
            self.mode = if literal.synchronizing {
                Mode::Line
            } else {
                Mode::Skip {
                    left: literal.length,
                }
            };
        }
    }

    /// Hands the announced literal on in pieces; the command before it is
    /// forgotten.
    pub(crate) fn stream(&mut self) {
        if let Mode::Announced(literal) = self.mode {
            self.buffer.drain(..self.scanned);
            (self.line, self.scanned) = (0, 0);
            self.mode = Mode::Stream {
                left: literal.length,
            };
        }
    }

    /// Passes over the rest of a literal that is streamed.
    pub(crate) fn skip_stream(&mut self) {
        match self.mode {
            Mode::Stream { left } => self.mode = Mode::Skip { left },
            Mode::StreamEnd => self.mode = Mode::SkipLine,
            _ => {}
        }
    }

    fn next_line(&mut self, bytes_max: usize) -> Event {
        let end = match self.find_line_end(bytes_max) {
            Ok(end) => end,
            Err(event) => return event,
        };
        let line = without_line_end(&self.buffer[self.line..end]);
        if let Some(literal) = literal(line) {
            self.scanned = end;
            self.mode = Mode::Announced(literal);
            return Event::Literal(literal);
        }
        Event::Command(self.take(end))
    }

    fn find_line_end(&mut self, bytes_max: usize) -> Result<usize, Event> {
        if bytes_max < self.scanned {
            return Err(Event::TooLong);
        }
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(at) if self.scanned + at <= bytes_max => Ok(self.scanned + at + 1),
            Some(_) => Err(Event::TooLong),
            None if bytes_max < self.buffer.len() => Err(Event::TooLong),
            None => {
                self.scanned = self.scanned.max(self.buffer.len());
                Err(Event::More)
            }
        }
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        let mut line: Vec<u8> = self.buffer.drain(..end).collect();
        line.truncate(without_line_end(&line).len());
        (self.line, self.scanned) = (0, 0);
        line
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The literal a line announces at its end: `{12}` or `{12+}`.
fn literal(line: &[u8]) -> Option<Literal> {
    let inside = line.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', inside)?;
    let digits = &inside[at + 1..];
    let (digits, synchronizing) = match digits.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (digits, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(digits)
        .ok()?
        .parse()
        .unwrap_or(u64::MAX);
    Some(Literal {
        length,
        synchronizing,
        at,
    })
}

/// The tag of a command of which only the beginning is there, for the answer
/// that refuses the rest.
pub(crate) fn tag_of(command: &[u8]) -> Option<String> {
    parse::tag(command).map(|(tag, _)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut input = Input::default();
        let mut events = Vec::new();
        for piece in pieces {
            input.push(piece);
            loop {
                match input.next(100) {
                    Event::More => break,
                    Event::TooLong => {
                        events.push(Event::TooLong);
                        return events;
                    }
                    Event::Literal(literal) if literal.length == 3 => input.accept(),
                    Event::Literal(_) => input.refuse(),
                    event => events.push(event),
                }
            }
        }
        events
    }

    #[test]
    fn literals_are_part_of_their_command() {
        let wire = b"a LOGIN {3}\r\na\nb {3+}\r\nsec\r\nb NOOP\n";
        assert_eq!(
            events(&[wire]),
            [
                Event::Command(b"a LOGIN {3}\r\na\nb {3+}\r\nsec".to_vec()),
                Event::Command(b"b NOOP".to_vec())
            ]
        );
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        let wire: &[u8] =
            b"a LOGIN {3}\r\na\nb {3+}\r\nsec\r\nb NOOP\nc X {5+}\r\n12345 {2+}\r\nab\r\nd OK\r\n";
        property::holds(|u| {
            let mut pieces = Vec::new();
            let mut rest = wire;
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(u.int_in_range(1..=rest.len())?);
                pieces.push(head);
                rest = tail;
            }
            assert_eq!(events(&pieces), events(&[wire]));
            Ok(())
        });
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        assert_eq!(events(&[&b"x".repeat(101)]), [Event::TooLong]);
        let mut input = Input::default();
        input.push(b"a X {4294967295}\r\n");
        assert!(matches!(input.next(100), Event::Literal(_)));
        input.accept();
        assert_eq!(input.next(100), Event::TooLong);
    }
}
