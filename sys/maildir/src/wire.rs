//! Line ends: LF on disk, CR LF towards clients.

use std::fs::File;
use std::io::{self, Read};

/// The message with every line end as CR LF.
pub fn to_crlf(message: &[u8]) -> Vec<u8> {
    let bare = memchr::memchr_iter(b'\n', message)
        .filter(|&at| at == 0 || message[at - 1] != b'\r')
        .count();
    let mut out = Vec::with_capacity(message.len() + bare);
    let mut copied = 0;
    for at in memchr::memchr_iter(b'\n', message) {
        if at == 0 || message[at - 1] != b'\r' {
            out.extend_from_slice(&message[copied..at]);
            out.push(b'\r');
            copied = at;
        }
    }
    out.extend_from_slice(&message[copied..]);
    out
}

/// How long a file is with every line end as CR LF.
pub(crate) fn size(file: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    let mut last = 0;
    loop {
        let got = match file.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &buffer[..got];
        let bare = memchr::memchr_iter(b'\n', piece)
            .filter(|&at| {
                let before = if at == 0 { last } else { piece[at - 1] };
                before != b'\r'
            })
            .count();
        total += (got + bare) as u64;
        last = piece[got - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_line_ends_get_a_cr() {
        assert_eq!(to_crlf(b"\na\r\nb\n\nc"), b"\r\na\r\nb\r\n\r\nc");
        assert_eq!(to_crlf(b""), b"");
        assert_eq!(to_crlf(b"a\rb"), b"a\rb");
    }

    #[test]
    fn the_counted_size_is_the_real_one() {
        use std::io::{Seek, Write};
        property::holds(|u| {
            let mut text = Vec::new();
            for _ in 0..u.int_in_range(0..=40)? {
                text.extend_from_slice(u.choose(&[&b"\r"[..], b"\n", b"\r\n", b"x"])?);
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&text).unwrap();
            file.rewind().unwrap();
            assert_eq!(size(&mut file).unwrap(), to_crlf(&text).len() as u64);
            Ok(())
        });
    }
}
