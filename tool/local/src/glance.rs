//! The few bytes of a message that fit on a line of a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes of a message that are looked at.
const BYTES_MAX: u64 = 64 * 1024;

/// What is shown of a message.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Glance {
    /// From the first `Return-Path`.
    pub sender: String,
    /// From the first `Delivered-To`.
    pub recipient: String,
    /// Subject and body, blanks squeezed; nothing a terminal would obey.
    pub text: String,
}

impl Glance {
    /// Reads the start of a message; `text_bytes_max` is how much of subject
    /// and body is kept.
    pub(crate) fn of(message: &File, text_bytes_max: usize) -> io::Result<Self> {
        let mut lines = BufReader::new(message.take(BYTES_MAX));
        let mut glance = Self::default();
        let (mut line, mut in_header) = (Vec::new(), true);
        while lines.read_until(b'\n', &mut line)? != 0 && glance.text.len() < text_bytes_max {
            if in_header {
                in_header = line != b"\n";
                glance.take_field(&line);
            } else {
                glance.add(&line);
            }
            line.clear();
        }
        glance.text.truncate(text_bytes_max);
        Ok(glance)
    }

    fn take_field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return;
        };
        let value = line[colon + 1..].trim_ascii();
        match &line[..colon].to_ascii_lowercase()[..] {
            b"subject" => self.add(value),
            b"return-path" if self.sender.is_empty() => {
                let inner = value.strip_prefix(b"<").unwrap_or(value);
                self.sender = shown(inner.strip_suffix(b">").unwrap_or(inner));
            }
            b"delivered-to" if self.recipient.is_empty() => self.recipient = shown(value),
            _ => {}
        }
    }

    fn add(&mut self, text: &[u8]) {
        for word in text
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty())
        {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(&shown(word));
        }
    }
}

/// Text that cannot move the cursor or colour the screen.
pub(crate) fn shown(text: &[u8]) -> String {
    text::log::printable(text, 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_body_without_anything_a_terminal_obeys() {
        let text = b"Return-Path: <ann@x>\nReceived: y\nDelivered-To: joe@h\nSubject: a\x1b[2J\n\n\
            one  two\nthree\n";
        let message = delivery::memory_file(text).unwrap();
        let expected = Glance {
            sender: "ann@x".to_owned(),
            recipient: "joe@h".to_owned(),
            text: "a?[2J one two".to_owned(),
        };
        assert_eq!(Glance::of(&message, 13).unwrap(), expected);
    }

    #[test]
    fn a_message_of_anything_is_one_short_line() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            let message = delivery::memory_file(&text).unwrap();
            let glance = Glance::of(&message, 78).unwrap();
            assert!(glance.text.len() <= 78);
            assert!(glance.text.bytes().all(|b| matches!(b, 0x20..=0x7e)));
            Ok(())
        });
    }
}
