//! The body of the notice made from the failures of a message in `bounce/N`.

use std::fs::File;
use std::io::{self, Cursor, Read};

use queue::Layout;
use schedule::Report;

/// Bytes of `bounce/N` that are repeated for programs.
const STATUS_BYTES_MAX: u64 = 1 << 20;
/// Bytes searched for the end of the header when only that is repeated.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// The body of a notice, to be read piece by piece.
pub type Body = Box<dyn Read>;

/// Puts the body together: texts, the failures, and the message itself.
pub fn body(layout: &Layout, id: u64, report: &Report<'_>, bytes_max: u64) -> io::Result<Body> {
    let failures = WithoutNul(File::open(layout.bounce(id))?);
    let mut status = Vec::new();
    File::open(layout.bounce(id))?
        .take(STATUS_BYTES_MAX)
        .read_to_end(&mut status)?;
    status.retain(|&byte| byte != 0);
    let status = schedule::delivery_status(&status);
    let message = File::open(layout.mess(id))?;
    let size = message.metadata()?.len();
    let copied = match bytes_max {
        0 => header_bytes(&File::open(layout.mess(id))?)?,
        limit => limit.min(size),
    };
    Ok(Box::new(
        Cursor::new(report.head())
            .chain(failures)
            .chain(Cursor::new(report.before_status()))
            .chain(Cursor::new(status))
            .chain(Cursor::new(report.before_message()))
            .chain(message.take(copied))
            .chain(Cursor::new(report.tail(copied < size))),
    ))
}

/// What a crash can leave where a paragraph was not written to its end.
struct WithoutNul(File);

impl Read for WithoutNul {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            let mut kept = 0;
            for at in 0..read {
                if buffer[at] != 0 {
                    buffer[kept] = buffer[at];
                    kept += 1;
                }
            }
            if 0 < kept || read == 0 {
                return Ok(kept);
            }
        }
    }
}

fn header_bytes(message: &File) -> io::Result<u64> {
    let mut start = Vec::new();
    message.take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
    let end = start.windows(2).position(|pair| pair == b"\n\n");
    Ok(end.map_or(start.len(), |end| end + 1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schedule::Wording;

    fn text(message: &[u8], bytes_max: u64) -> String {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        std::fs::write(layout.mess(7), message).unwrap();
        let failures = b"\0\0<a@b>:\nno\n\n<c@d>:\nno #5.7.1\n\n";
        std::fs::write(layout.bounce(7), failures).unwrap();
        let wording = Wording::default();
        let report = Report {
            wording: &wording,
            is_double: false,
            recipient: b"x@y",
            original_sender: b"x@y",
            now: 0,
            unguessable: "u",
        };
        let mut out = String::new();
        body(&layout, 7, &report, bytes_max)
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn every_failure_is_in_one_notice() {
        let out = text(b"Subject: s\n\nbody\n", 50_000);
        assert!(out.contains("<a@b>:\nno\n\n<c@d>:\nno #5.7.1\n\n--- Enclosed"));
        assert!(out.contains("Final-Recipient: rfc822; c@d\nAction: failed\nStatus: 5.7.1\n"));
        assert!(out.ends_with("Return-Path: <x@y>\nSubject: s\n\nbody\n\n--0.u--\n"));
    }

    #[test]
    fn only_a_message_that_was_cut_says_so() {
        let stripped = "--- End of message stripped.";
        let message = format!("Subject: s\n\n{}", "x".repeat(88));
        assert_eq!(message.len(), 100);
        assert!(!text(message.as_bytes(), 100).contains(stripped));
        let cut = text(message.as_bytes(), 99);
        assert!(cut.contains(stripped) && cut.contains(&"x".repeat(87)));
        assert!(!cut.contains(&"x".repeat(88)));
        let header_only = text(message.as_bytes(), 0);
        assert!(header_only.contains("Subject: s\n") && !header_only.contains("xxx"));
        assert!(header_only.contains(stripped));
    }
}
