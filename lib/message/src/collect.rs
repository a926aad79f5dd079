//! Chosen fields of a header that arrives in pieces, in bounded memory.

use crate::fields::unfold;

/// Most bytes kept of one field; the rest of it is dropped.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;
/// Most fields kept.
pub const FIELDS_MAX: usize = 100;
/// A header that is longer is not looked at any further.
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// A field that was wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collected {
    /// Its name as it was asked for.
    pub name: String,
    /// Its value on one line.
    pub value: Vec<u8>,
}

/// Watches a message go by and keeps the wanted fields of its header.
#[derive(Debug)]
pub struct Collector {
    wanted: Vec<String>,
    /// The field that is arriving; it ends when the next line starts.
    field: Vec<u8>,
    at_line_start: bool,
    bytes_seen: usize,
    done: bool,
    collected: Vec<Collected>,
}

impl Collector {
    /// Wants these fields, by their whole names, in any case.
    pub fn new(wanted: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            wanted: wanted.into_iter().map(Into::into).collect(),
            field: Vec::new(),
            at_line_start: true,
            bytes_seen: 0,
            done: false,
            collected: Vec::new(),
        }
    }

    /// Takes the next piece of the message.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !self.done && !piece.is_empty() {
            if self.at_line_start && !matches!(piece[0], b' ' | b'\t') {
                self.finish_field();
                if piece[0] == b'\n' {
                    self.done = true;
                    return;
                }
            }
            let newline = memchr::memchr(b'\n', piece);
            let length = newline.map_or(piece.len(), |at| at + 1);
            let room = FIELD_BYTES_MAX.saturating_sub(self.field.len());
            self.field.extend_from_slice(&piece[..length.min(room)]);
            self.at_line_start = newline.is_some();
            self.bytes_seen += length;
            self.done = HEADER_BYTES_MAX < self.bytes_seen;
            piece = &piece[length..];
        }
    }

    /// The fields, in the order of the message; call after the last piece.
    pub fn finish(mut self) -> Vec<Collected> {
        self.finish_field();
        self.collected
    }

    fn finish_field(&mut self) {
        if let Some(colon) = memchr::memchr(b':', &self.field)
            && self.collected.len() < FIELDS_MAX
        {
            let name = self.field[..colon].trim_ascii_end();
            let wanted = self
                .wanted
                .iter()
                .find(|w| w.as_bytes().eq_ignore_ascii_case(name));
            if let Some(name) = wanted {
                let value = unfold(&self.field[colon + 1..]);
                self.collected.push(Collected {
                    name: name.clone(),
                    value,
                });
            }
        }
        self.field.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"Received: x\nMessage-ID:\n <a@b>\nsubject: s\n\nSubject: body\n";

    fn collect(pieces: &[&[u8]]) -> Vec<Collected> {
        let mut collector = Collector::new(["Message-Id", "Subject"]);
        pieces.iter().for_each(|piece| collector.push(piece));
        collector.finish()
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        let whole = collect(&[MESSAGE]);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].value, b"<a@b>");
        assert_eq!(whole[1].value, b"s");
        for cut in 0..=MESSAGE.len() {
            let (head, tail) = MESSAGE.split_at(cut);
            assert_eq!(collect(&[head, tail]), whole);
        }
    }

    #[test]
    fn memory_is_bounded_whatever_arrives() {
        let mut collector = Collector::new(["subject"]);
        let long = [b'a'; 4096];
        collector.push(b"Subject: ");
        (0..1000).for_each(|_| collector.push(&long));
        assert!(collector.field.capacity() <= 2 * FIELD_BYTES_MAX);
        assert!(collector.finish()[0].value.len() <= FIELD_BYTES_MAX);
    }

    #[test]
    fn a_prefix_of_a_name_is_another_field() {
        let mut collector = Collector::new(["To"]);
        collector.push(b"Topic: x\nTo: y\n\n");
        assert_eq!(collector.finish().len(), 1);
    }
}
