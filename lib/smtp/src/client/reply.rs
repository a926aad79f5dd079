//! Replies of a server, whatever it sends.

/// Longest line of a reply; RFC 5321 §4.5.3.1.5 allows 512, servers more.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// Most lines of one reply.
const LINES_MAX: usize = 500;
/// How much of a reply is kept (queue-and-delivery.md §7.6).
const KEPT_BYTES_MAX: usize = 5000;
/// The code of what cannot be understood.
const UNPARSABLE: u16 = 400;

/// A complete reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The three digits of its last line; 400 when there are none.
    pub code: u16,
    /// All lines with their codes, LF between them, the first bytes only.
    /// Control bytes are replaced, so it can go into a report.
    pub text: Vec<u8>,
}

impl Reply {
    /// Says whether the server said yes, or go on.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Says whether trying again later is of no use.
    pub fn is_permanent(&self) -> bool {
        500 <= self.code
    }

    /// What follows the code in each line.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text
            .split(|&b| b == b'\n')
            .map(|line| line.get(4..).unwrap_or_default())
    }
}

/// Why a server cannot be listened to any longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not end.
    #[error("reply line too long")]
    LineTooLong,
    /// A reply does not end.
    #[error("reply has too many lines")]
    TooManyLines,
}

/// Collects bytes and hands out replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    input: Vec<u8>,
    text: Vec<u8>,
    lines: usize,
}

impl ReplyReader {
    /// Takes bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next complete reply, `None` when more bytes are needed.
    pub fn take(&mut self) -> Result<Option<Reply>, ReplyError> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.input) else {
                return if LINE_BYTES_MAX < self.input.len() {
                    Err(ReplyError::LineTooLong)
                } else {
                    Ok(None)
                };
            };
            if LINE_BYTES_MAX < end {
                return Err(ReplyError::LineTooLong);
            }
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let line = &line[..end];
            self.lines += 1;
            if LINES_MAX < self.lines {
                return Err(ReplyError::TooManyLines);
            }
            self.keep(line);
            let (code, more) = parse(line);
            if !more {
                self.lines = 0;
                let text = std::mem::take(&mut self.text);
                return Ok(Some(Reply { code, text }));
            }
        }
    }

    /// Says whether bytes wait that belong to no reply yet handed out.
    pub fn has_more(&self) -> bool {
        !self.input.is_empty() || 0 < self.lines
    }

    fn keep(&mut self, line: &[u8]) {
        if 1 < self.lines && self.text.len() < KEPT_BYTES_MAX {
            self.text.push(b'\n');
        }
        let room = KEPT_BYTES_MAX.saturating_sub(self.text.len());
        let clean = line.iter().filter(|&&b| b != b'\r').take(room);
        self.text
            .extend(clean.map(|&b| if b.is_ascii_control() { b'?' } else { b }));
    }
}

/// The code of a line, and whether another line follows.
fn parse(line: &[u8]) -> (u16, bool) {
    let Some((digits, rest)) = line.split_first_chunk::<3>() else {
        return (UNPARSABLE, false);
    };
    if !(b'2'..=b'5').contains(&digits[0]) || !digits.iter().all(u8::is_ascii_digit) {
        return (UNPARSABLE, false);
    }
    let code = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    (code, rest.first() == Some(&b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        reader.push(bytes);
        reader.take()
    }

    #[test]
    fn a_reply_of_many_lines_is_one_reply() {
        let reply = read(b"250-one\r\n250-two\r\n250 three\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(reply.code, 250);
        assert_eq!(reply.text, b"250-one\n250-two\n250 three");
        assert_eq!(reply.lines().last(), Some(&b"three"[..]));
        assert_eq!(read(b"250-one\r\n250-two\r\n"), Ok(None));
    }

    #[test]
    fn what_is_not_a_reply_counts_as_a_temporary_failure() {
        for strange in [&b"\r\n"[..], b"ok\r\n", b"HTTP/1.1 200\r\n", b"999 x\r\n"] {
            assert_eq!(read(strange).unwrap().unwrap().code, 400);
        }
        assert_eq!(read(b"220\r\n").unwrap().unwrap().code, 220);
    }

    #[test]
    fn a_server_that_never_ends_is_cut_off() {
        assert_eq!(read(&[b'2'; 9000]), Err(ReplyError::LineTooLong));
        assert_eq!(
            read(&b"220-more\r\n".repeat(501)),
            Err(ReplyError::TooManyLines)
        );
        let long = [b"220 ".to_vec(), vec![b'x'; 8000], b"\r\n".to_vec()].concat();
        assert_eq!(read(&long).unwrap().unwrap().text.len(), KEPT_BYTES_MAX);
    }

    #[test]
    fn a_report_made_of_a_reply_stays_one_report() {
        let reply = read(b"550 a\0b\x1b[31m\r\n").unwrap().unwrap();
        assert_eq!(reply.text, b"550 a?b?[31m");
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        property::holds(|u| {
            let input = property::bytes(u)?;
            let mut whole = ReplyReader::default();
            whole.push(&input);
            let mut pieces = ReplyReader::default();
            let mut seen = Vec::new();
            for piece in input.chunks(usize::from(u.int_in_range(1..=5u8)?)) {
                pieces.push(piece);
                while let Ok(Some(reply)) = pieces.take() {
                    seen.push(reply);
                }
            }
            let mut expected = Vec::new();
            while let Ok(Some(reply)) = whole.take() {
                expected.push(reply);
            }
            assert_eq!(seen, expected);
            Ok(())
        });
    }
}
