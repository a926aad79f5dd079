//! The message as it lies on disk.

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;

use crate::failure::Failure;

/// How much is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A message that can be read from its start any number of times, with the
/// extra header lines before it.
#[derive(Debug)]
pub struct Stored {
    file: File,
    extra_headers: Vec<u8>,
    /// Whether it has bytes beyond ASCII.
    pub eight_bit: bool,
}

impl Stored {
    /// Takes descriptor 0. What cannot be read twice, like the output of a
    /// filter, is copied to a temporary file.
    pub fn from_standard_input(extra_headers: &[u8]) -> Result<Self, Failure> {
        let file = os::fd::inherit_file(0).ok_or(Failure::Message)?;
        Self::new(file, extra_headers).map_err(|_| Failure::Message)
    }

    /// Wraps a file.
    pub fn new(mut file: File, extra_headers: &[u8]) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            let mut copy = tempfile::tempfile()?;
            io::copy(&mut file, &mut copy)?;
            copy.rewind()?;
            file = copy;
        }
        let mut extra_headers = extra_headers.to_vec();
        if extra_headers.last().is_some_and(|&b| b != b'\n') {
            extra_headers.push(b'\n');
        }
        let mut stored = Self {
            file,
            extra_headers,
            eight_bit: false,
        };
        let mut eight_bit = false;
        let mut pieces = stored.pieces();
        while let Some(piece) = pieces.next()? {
            eight_bit |= !piece.is_ascii();
        }
        stored.eight_bit = eight_bit;
        Ok(stored)
    }

    /// The header of the stored file, without the extra lines; as much of
    /// it as is within the limit.
    pub fn header(&self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        let mut pieces = Pieces {
            stored: self,
            buffer: Vec::new(),
            offset: Some(0),
        };
        while let Some(piece) = pieces.next()? {
            header.extend_from_slice(piece);
            let end = header.windows(2).position(|pair| pair == b"\n\n");
            if let Some(end) = end {
                header.truncate(end + 1);
                break;
            }
            if bytes_max <= header.len() {
                header.truncate(bytes_max);
                break;
            }
        }
        Ok(header)
    }

    /// Puts further lines before it.
    pub fn prepend(&mut self, lines: &[u8]) {
        self.extra_headers = [lines, &self.extra_headers[..]].concat();
    }

    /// Reads it from its start.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces {
            stored: self,
            buffer: self.extra_headers.clone(),
            offset: None,
        }
    }
}

/// A message being read.
#[derive(Debug)]
pub struct Pieces<'a> {
    stored: &'a Stored,
    buffer: Vec<u8>,
    /// Where in the file to go on; `None` before the extra headers.
    offset: Option<u64>,
}

impl Pieces<'_> {
    /// The next piece, `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.offset.is_none() {
            self.offset = Some(0);
            if !self.buffer.is_empty() {
                return Ok(Some(&self.buffer));
            }
        }
        let offset = self.offset.unwrap_or(0);
        self.buffer.resize(PIECE_BYTES, 0);
        let length = loop {
            match self.stored.file.read_at(&mut self.buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.buffer.truncate(length);
        self.offset = Some(offset + length as u64);
        Ok((0 < length).then_some(&self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_message_is_read_twice_with_its_extra_headers() {
        let mut file = tempfile::tempfile().unwrap();
        let body = "Subject: ü\n\n".to_owned() + &"x\n".repeat(50_000);
        file.write_all(body.as_bytes()).unwrap();
        let stored = Stored::new(file, b"X-Extra: 1").unwrap();
        assert!(stored.eight_bit);
        for _ in 0..2 {
            let mut whole = Vec::new();
            let mut pieces = stored.pieces();
            while let Some(piece) = pieces.next().unwrap() {
                whole.extend_from_slice(piece);
            }
            assert_eq!(whole, ["X-Extra: 1\n", &body].concat().into_bytes());
        }
    }
}
