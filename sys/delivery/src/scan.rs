//! Reading the header of a message in little memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes read at a time; most headers fit.
const CHUNK_BYTES: usize = 8 * 1024;
/// Longest part of a line that is kept.
const LINE_BYTES_MAX: usize = 4096;
/// Most values [`header_values`] returns.
const VALUES_MAX: usize = 1000;

/// Says whether the header, up to the first empty line, has more than `max`
/// lines that are byte for byte `line` (which ends in a newline).
pub fn header_exceeds(message: &File, line: &[u8], max: usize) -> io::Result<bool> {
    let mut found = 0;
    each_line(message, |seen| {
        found += usize::from(seen == line);
        found <= max
    })?;
    Ok(max < found)
}

/// The values of all fields with this name (without colon), trimmed. Values
/// on continuation lines are not seen.
pub fn header_values(message: &File, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    each_line(message, |line| {
        if let Some((head, value)) = line.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
            && let Some(value) = value.strip_prefix(b":")
        {
            values.push(value.trim_ascii().to_vec());
        }
        values.len() < VALUES_MAX
    })?;
    Ok(values)
}

/// Calls `see` for each header line with its newline, until it says `false`.
/// A line longer than [`LINE_BYTES_MAX`] is cut, and then has no newline.
fn each_line(message: &File, mut see: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut line = Vec::new();
    let mut offset = 0;
    loop {
        let got = match message.read_at(&mut buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if got == 0 {
            if !line.is_empty() {
                see(&line);
            }
            return Ok(());
        }
        offset += got as u64;
        for piece in buffer[..got].split_inclusive(|&b| b == b'\n') {
            let ends = piece.ends_with(b"\n");
            if line.is_empty() && piece == b"\n" {
                return Ok(());
            }
            let room = LINE_BYTES_MAX.saturating_sub(line.len());
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            if ends {
                if !see(&line) {
                    return Ok(());
                }
                line.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_file;

    #[test]
    fn only_the_header_and_only_the_whole_line_counts() {
        let file = |text: &str| memory_file(text.as_bytes()).unwrap();
        let line = b"Delivered-To: a@b\n";
        let has = |text| header_exceeds(&file(text), line, 0).unwrap();
        assert!(has("Subject: x\nDelivered-To: a@b\n\nbody\n"));
        assert!(!has("Subject: x\n\nDelivered-To: a@b\n"));
        assert!(!has("delivered-to: a@b\n\n"));
        assert!(!has("Delivered-To: a@bc\n\n"));
        assert!(!has("X: Delivered-To: a@b\n\n"));
        assert!(!has(""));
        let long = format!("X: {}\nDelivered-To: a@b\n", "y".repeat(3 * CHUNK_BYTES));
        assert!(has(&long));
        let padded = format!("{}Delivered-To: a@b\n", "z".repeat(2 * LINE_BYTES_MAX));
        assert!(!has(&padded));
    }

    #[test]
    fn values_of_all_fields_of_a_name() {
        let text = b"DELIVERED-TO:  A@b \nX: y\nDelivered-To: c@d\n\nDelivered-To: e@f\n";
        let values = header_values(&memory_file(text).unwrap(), b"Delivered-To").unwrap();
        assert_eq!(values, [b"A@b".to_vec(), b"c@d".to_vec()]);
    }
}
