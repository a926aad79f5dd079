//! The header of a message that flows by.

use memchr::memchr;

/// Looks at the header while the message flows by: counts hops, and knows
/// which fields a submitted message lacks.
#[derive(Debug, Default)]
pub struct HeaderWatch {
    /// The first bytes of the current line.
    line: Vec<u8>,
    /// Lines that count as hops.
    pub hops: u32,
    /// `Date` is there.
    pub has_date: bool,
    /// `Message-ID` is there.
    pub has_message_id: bool,
    over: bool,
}

impl HeaderWatch {
    /// Looks at the next lines (ending in LF). The position where the header
    /// ends, before its empty line, once it is in this piece.
    pub fn look(&mut self, piece: &[u8]) -> Option<usize> {
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
    pub fn is_over(&self) -> bool {
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
