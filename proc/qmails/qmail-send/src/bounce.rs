//! The body of the notice made from the failures of a message in `bounce/N`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

use queue::Layout;
use schedule::{Action, Charset, Copied, Fate, Form, Report};
use wire::dsn::Original;

/// Bytes searched for the last paragraph of `bounce/N`, and those of a
/// paragraph that count.
const PARAGRAPH_BYTES_MAX: u64 = 64 * 1024;
/// Bytes searched for the end of the header when only that is repeated.
const HEADER_BYTES_MAX: u64 = 64 * 1024;
/// Bytes looked at to see whether a text is ASCII. What is longer counts as
/// if it were not, which is never wrong.
const CHARSET_BYTES_MAX: u64 = 1 << 20;

/// The body of a notice, to be read piece by piece.
pub type Body = Box<dyn Read>;

/// Whom the sender wrote to, by the recipients' addresses as paragraphs show
/// them.
pub type Originals = Vec<(Vec<u8>, Original)>;

/// Puts the body together: texts, the failures, and the message itself. Of
/// `report` everything must be there that is not in these files.
pub fn body(
    layout: &Layout,
    id: u64,
    report: &Report<'_>,
    bytes_max: u64,
    originals: Originals,
) -> io::Result<Body> {
    let mut failures = File::open(layout.bounce(id))?;
    let bounced = last_recipient(&mut failures)?;
    let mut message = File::open(layout.mess(id))?;
    let size = message.metadata()?.len();
    let copied = match report.copied {
        Copied::Header => header_bytes(&mut message)?,
        Copied::Message => bytes_max.min(size),
    };
    let wording = report.wording;
    let custom = Charset::of(&wording.message).and(Charset::of(&wording.double_message));
    let report = Report {
        bounced: &bounced,
        text: charset(&mut failures, u64::MAX)?.and(custom),
        message: charset(&mut message, copied)?,
        ..report.clone()
    };
    let statuses: Body = match report.form() {
        Form::Report => Box::new(Statuses {
            paragraphs: BufReader::new(WithoutNul(File::open(layout.bounce(id))?)),
            originals,
            fields: Cursor::default(),
        }),
        Form::Mixed | Form::Plain => Box::new(io::empty()),
    };
    Ok(Box::new(
        Cursor::new(report.head())
            .chain(WithoutNul(failures))
            .chain(Cursor::new(report.after_paragraphs()))
            .chain(statuses)
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

/// The header of a message, as far as it is repeated.
pub fn header(layout: &Layout, id: u64) -> io::Result<Vec<u8>> {
    let mut message = File::open(layout.mess(id))?;
    let bytes = header_bytes(&mut message)?;
    let mut header = Vec::new();
    message.take(bytes).read_to_end(&mut header)?;
    Ok(header)
}

fn header_bytes(message: &mut File) -> io::Result<u64> {
    let start = start(message, HEADER_BYTES_MAX)?;
    let end = start.windows(2).position(|pair| pair == b"\n\n");
    Ok(end.map_or(start.len(), |end| end + 1) as u64)
}

/// The first bytes of a file, which is then at its start again.
fn start(file: &mut File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    (&mut *file).take(bytes_max).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start)
}

fn charset(file: &mut File, bytes: u64) -> io::Result<Charset> {
    let start = start(file, bytes.min(CHARSET_BYTES_MAX))?;
    let is_all = bytes <= CHARSET_BYTES_MAX || (start.len() as u64) < CHARSET_BYTES_MAX;
    Ok(match is_all {
        true => Charset::of(&start),
        false => Charset::Unknown,
    })
}

/// The recipient of the last paragraph.
fn last_recipient(failures: &mut File) -> io::Result<Vec<u8>> {
    let length = failures.metadata()?.len();
    failures.seek(SeekFrom::Start(length.saturating_sub(PARAGRAPH_BYTES_MAX)))?;
    let mut end = Vec::new();
    (&mut *failures)
        .take(PARAGRAPH_BYTES_MAX)
        .read_to_end(&mut end)?;
    failures.rewind()?;
    // No paragraph has an empty line inside.
    let at = end.windows(3).rposition(|three| three == b"\n\n<");
    let last = &end[at.map_or(0, |at| at + 2)..];
    Ok(recipient(last).map_or_else(Vec::new, |(recipient, _)| recipient.to_vec()))
}

/// The recipient of a paragraph, and the report.
fn recipient(paragraph: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = paragraph.iter().position(|&b| b == b'\n')?;
    let first = paragraph[..end].strip_prefix(b"<")?.strip_suffix(b">:")?;
    Some((first, &paragraph[end + 1..]))
}

/// The fields for programs, made of one paragraph after the other.
struct Statuses {
    paragraphs: BufReader<WithoutNul>,
    originals: Originals,
    fields: Cursor<Vec<u8>>,
}

impl Statuses {
    /// The next paragraph without its empty line; empty at the end.
    fn paragraph(&mut self) -> io::Result<Vec<u8>> {
        let mut paragraph = Vec::new();
        loop {
            let before = paragraph.len();
            let mut limited = (&mut self.paragraphs).take(PARAGRAPH_BYTES_MAX);
            let length = limited.read_until(b'\n', &mut paragraph)?;
            match length {
                0 => return Ok(paragraph),
                1 if paragraph[before..] == *b"\n" && before != 0 => {
                    paragraph.truncate(before);
                    return Ok(paragraph);
                }
                _ => {}
            }
            if PARAGRAPH_BYTES_MAX < paragraph.len() as u64 {
                paragraph.truncate(before);
            }
        }
    }

    fn fields_of(&self, paragraph: &[u8]) -> Vec<u8> {
        let Some((recipient, text)) = recipient(paragraph) else {
            return Vec::new();
        };
        let original = self.originals.iter().find(|(shown, _)| shown == recipient);
        let fate = Fate {
            recipient,
            original: original.map(|(_, original)| original),
            action: Action::Failed,
            text,
            retry_until: None,
        };
        fate.fields()
    }
}

impl Read for Statuses {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.fields.read(buffer)? {
                0 if !buffer.is_empty() => {}
                length => return Ok(length),
            }
            let paragraph = self.paragraph()?;
            if paragraph.is_empty() {
                return Ok(0);
            }
            self.fields = Cursor::new(self.fields_of(&paragraph));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schedule::{News, Wording};

    fn text(message: &[u8], bytes_max: u64, form: Form) -> String {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        std::fs::write(layout.mess(7), message).unwrap();
        let failures = b"\0\0<a@b>:\nno\n\n<c@d>:\nno #5.7.1\n\n";
        std::fs::write(layout.bounce(7), failures).unwrap();
        let wording = Wording {
            form,
            ..Wording::default()
        };
        let copied = match bytes_max {
            0 => Copied::Header,
            _ => Copied::Message,
        };
        let report = Report {
            wording: &wording,
            news: News::Failure,
            recipient: b"x@y",
            original_sender: b"x@y",
            bounced: b"",
            envelope_id: None,
            arrival: 0,
            copied,
            text: Charset::Ascii,
            message: Charset::Ascii,
            now: 0,
            unguessable: "u",
        };
        let original = Original::parse(b"rfc822;first@d").unwrap();
        let originals = vec![(b"c@d".to_vec(), original)];
        let mut out = String::new();
        body(&layout, 7, &report, bytes_max, originals)
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn every_failure_is_in_one_notice() {
        let out = text(b"Subject: s\n\nbody\n", 50_000, Form::Report);
        assert!(out.contains("\nX-Bounced-Address: <c@d>\n"));
        assert!(out.contains("<a@b>:\nno\n\n<c@d>:\nno #5.7.1\n\n--- Enclosed"));
        assert!(out.contains(
            "Original-Recipient: rfc822; first@d\n\
             Final-Recipient: rfc822; c@d\nAction: failed\nStatus: 5.7.1\n"
        ));
        assert_eq!(out.matches("Final-Recipient: ").count(), 2);
        assert!(out.ends_with("Return-Path: <x@y>\nSubject: s\n\nbody\n\n--0.u--\n"));
    }

    #[test]
    fn only_a_message_that_was_cut_says_so() {
        let stripped = "--- End of message stripped.";
        let message = format!("Subject: s\n\n{}", "x".repeat(88));
        assert_eq!(message.len(), 100);
        for form in [Form::Report, Form::Mixed, Form::Plain] {
            assert!(!text(message.as_bytes(), 100, form).contains(stripped));
            let cut = text(message.as_bytes(), 99, form);
            assert!(cut.contains(stripped) && cut.contains(&"x".repeat(87)));
            assert!(!cut.contains(&"x".repeat(88)));
            let header_only = text(message.as_bytes(), 0, form);
            assert!(header_only.contains("Subject: s\n") && !header_only.contains("xxx"));
            // A part that is a header by its type need not say so.
            assert_eq!(header_only.contains(stripped), form != Form::Report);
        }
    }

    #[test]
    fn bytes_beyond_ascii_are_announced() {
        let out = text("Subject: s\n\nbücher\n".as_bytes(), 50_000, Form::Report);
        assert!(out.contains(
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nReturn-Path"
        ));
        let (header, _) = out.split_once("\n\n").unwrap();
        assert!(header.contains("\nContent-Transfer-Encoding: 8bit"));
    }
}
