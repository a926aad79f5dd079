//! The text after DATA, up to the line with a dot.

use std::io::{self, BufRead, Read};

/// Most bytes of a line that are looked at at once; longer lines come in
/// pieces.
const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// Reads the message: lines end in LF, the doubled dots are gone. Only a dot
/// between two CRLF ends it: what other systems might take for an end is
/// text.
pub struct Data<'a, R> {
    input: &'a mut R,
    piece: Vec<u8>,
    used: usize,
    /// The piece before this one ended with CRLF (or there is none).
    at_line_start: bool,
    /// A piece ended with a CR, which may be the first byte of a line end.
    held: bool,
    over: bool,
}

impl<'a, R: BufRead> Data<'a, R> {
    /// Starts after the reply to DATA.
    pub fn new(input: &'a mut R) -> Self {
        Self {
            input,
            piece: Vec::new(),
            used: 0,
            at_line_start: true,
            held: false,
            over: false,
        }
    }

    /// Reads what is left and forgets it.
    pub fn finish(mut self) -> io::Result<()> {
        while !self.over {
            self.next()?;
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<()> {
        self.piece.clear();
        self.used = 0;
        if std::mem::take(&mut self.held) {
            self.piece.push(b'\r');
        }
        let mut limited = self.input.by_ref().take(PIECE_BYTES_MAX);
        if limited.read_until(b'\n', &mut self.piece)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.piece.ends_with(b"\r") {
            self.piece.pop();
            self.held = true;
        }
        let starts = self.at_line_start;
        self.at_line_start = self.piece.ends_with(b"\r\n");
        if starts && self.piece == b".\r\n" {
            self.over = true;
            self.piece.clear();
            return Ok(());
        }
        if starts && self.piece.starts_with(b".") {
            self.used = 1;
        }
        if self.piece.ends_with(b"\r\n") {
            self.piece.truncate(self.piece.len() - 2);
            self.piece.push(b'\n');
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() && !self.over {
            self.next()?;
        }
        let rest = &self.piece[self.used..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.used += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut input = input;
        let mut out = Vec::new();
        Data::new(&mut input).read_to_end(&mut out).unwrap();
        (out, input.to_vec())
    }

    #[test]
    fn only_a_dot_between_two_crlf_ends_the_text() {
        let (text, rest) = read(b"a\r\n..b\r\n.\n\n.\nc\r\n.\r\nQUIT\r\n");
        assert_eq!(text, b"a\n.b\n\n\n.\nc\n");
        assert_eq!(rest, b"QUIT\r\n");
        assert_eq!(read(b".\r\nX"), (Vec::new(), b"X".to_vec()));
    }

    #[test]
    fn long_lines_end_where_they_end() {
        for length in 65_530..65_545 {
            let line = vec![b'x'; length];
            let (text, rest) = read(&[&line[..], b"\r\n.\r\nQUIT"].concat());
            assert!(
                text == [&line[..], b"\n"].concat() && rest == b"QUIT",
                "{length}"
            );
        }
    }

    #[test]
    fn a_connection_that_breaks_is_no_end() {
        for input in [&b""[..], b"a\r\n", b"a\r\n.", b"a\n.\n"] {
            let mut input = input;
            assert!(Data::new(&mut input).read_to_end(&mut Vec::new()).is_err());
        }
    }
}
