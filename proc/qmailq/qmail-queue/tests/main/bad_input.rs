//! What is too big, too strange or too much: the documented answer, in
//! bounded memory.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::{ENVELOPE, Site, pipe};

/// Address space the program gets for the big cases, in KiB: less than the
/// message or the envelope would take.
const MEMORY_KIBIBYTES: u32 = 48 * 1024;

impl Site {
    /// Runs the program with little memory; message and envelope are made
    /// while it reads.
    fn queue_in_little_memory(
        &self,
        message: impl FnOnce(&mut dyn Write),
        envelope: impl FnOnce(&mut dyn Write),
    ) -> Option<i32> {
        let (message_end, message_pipe) = pipe();
        let (envelope_end, envelope_pipe) = pipe();
        let script = format!("ulimit -v {MEMORY_KIBIBYTES}; exec \"$0\"");
        let mut command = Command::new("bash");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_qmail-queue")])
            .env("QMAILDIR", self.directory.path())
            .stdin(message_end)
            .stdout(envelope_end)
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut pipe = std::io::BufWriter::new(message_pipe);
        message(&mut pipe);
        drop(pipe);
        let mut pipe = std::io::BufWriter::new(envelope_pipe);
        envelope(&mut pipe);
        drop(pipe);
        child.wait().unwrap().code()
    }
}

#[test]
fn a_message_of_100_megabytes_and_100_000_recipients_take_little_memory() {
    const RECIPIENTS: usize = 100_000;
    const PIECES: usize = 100;
    let site = Site::new();
    let piece = vec![b'x'; 1 << 20];
    let code = site.queue_in_little_memory(
        |pipe| (0..PIECES).for_each(|_| pipe.write_all(&piece).unwrap()),
        |pipe| {
            pipe.write_all(b"Fann@example.org\0").unwrap();
            for n in 0..RECIPIENTS {
                let recipient = format!("Tsomebody-with-a-long-name-{n}@some.where.example\0");
                pipe.write_all(recipient.as_bytes()).unwrap();
            }
            pipe.write_all(b"\0").unwrap();
        },
    );
    assert_eq!(code, Some(0));
    let id = site.messages()[0];
    let length = std::fs::metadata(site.layout().mess(id)).unwrap().len();
    assert!((PIECES << 20) as u64 <= length && length < (PIECES << 20) as u64 + 200);
    let envelope = site.envelope(id);
    let recipients = envelope
        .split('\0')
        .filter(|record| record.starts_with('T'));
    assert_eq!(recipients.count(), RECIPIENTS);
}

#[test]
fn a_header_that_never_ends_takes_little_memory() {
    let site = Site::new();
    for (name, list) in [
        ("envheaders", "Subject\n"),
        ("logheaders", "Subject\n"),
        ("removeheaders", "X\n"),
    ] {
        std::fs::write(site.directory.path().join("control").join(name), list).unwrap();
    }
    let line = [b"Subject: ", &[b'x'; 1 << 16][..], b"\n"].concat();
    let code = site.queue_in_little_memory(
        |pipe| (0..1000).for_each(|_| pipe.write_all(&line).unwrap()),
        |pipe| pipe.write_all(ENVELOPE).unwrap(),
    );
    assert_eq!(code, Some(0));
    assert!(site.envelope(site.messages()[0]).len() < 2 << 20);
}

#[test]
fn bytes_of_a_message_stay_as_they_are() {
    let site = Site::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for text in [&bytes[..], b"\0", b"no newline", b"\r\n\r\r\n\n\n", b""] {
        let before = site.messages();
        assert_eq!(site.queue(text, ENVELOPE, &[]), Some(0));
        let id = site.messages().into_iter().find(|id| !before.contains(id));
        let mess = std::fs::read(site.layout().mess(id.unwrap())).unwrap();
        let received = mess.iter().position(|&b| b == b'\n').unwrap();
        assert!(mess[received + 1..] == *text);
    }
}

#[test]
fn addresses_may_have_eight_bits_and_blanks_but_no_controls() {
    let site = Site::new();
    let good = "Fj\u{f6}rg@m\u{fc}nchen.example\0T\"a b\"@c\0Tno-host\0T@\0\0";
    assert_eq!(site.queue(b"\n", good.as_bytes(), &[]), Some(0));
    let envelope = site.envelope(site.messages()[0]);
    assert!(envelope.contains(good.strip_suffix("\0\0").unwrap()));
    for bad in [
        &b"Fa\nb@c\0Tb@y\0\0"[..],
        b"F\0Ta\rb@c\0\0",
        b"F\0T\0\0",
        b"F\0Ta\x7f@b\0\0",
    ] {
        assert_eq!(site.queue(b"\n", bad, &[]), Some(31), "{bad:?}");
    }
    assert_eq!(site.messages().len(), 1);
}

#[test]
fn extra_lines_that_would_end_the_header_are_refused() {
    let site = Site::new();
    let long = format!("X-A: {}", "x".repeat(100_000));
    for bad in ["X-A: 1\n\nbody", "no field", " X-A: 1", &long] {
        assert_eq!(site.queue(b"\n", ENVELOPE, &[("QQEH", bad)]), Some(87));
        assert!(site.is_empty());
    }
    let good = ("QQEH", "X-A: 1\n 2\nX-B: 3");
    assert_eq!(site.queue(b"\n", ENVELOPE, &[good]), Some(0));
    assert!(
        site.envelope(site.messages()[0])
            .contains("\0eX-A: 1\n 2\nX-B: 3\n\0h")
    );
}
