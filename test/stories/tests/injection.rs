//! Programs on the host send mail: qmail-inject, sendmail, qmail-queue.

use std::io::Write;
use std::process::{Command, Stdio};

use testkit::{Installation, run};

#[test]
fn sendmail_follows_a_message_to_its_end() {
    let server = Installation::start("example.org");
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-v", "-i", "ann@example.org"]);
    let ran = run(&mut sendmail, b"Subject: follow me\n\nhello\n").good();
    let told = ran.out + &ran.err;
    assert!(
        told.contains("queued") && told.contains("delivered"),
        "{told}"
    );
    server.wait_for_messages("ann", 1);
}

#[test]
fn sendmail_takes_recipients_from_the_header_and_hides_bcc() {
    let server = Installation::start("example.org");
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-t", "-f", "ann@example.org"]);
    let message =
        b"To: Ann <ann@example.org>\nBcc: postmaster@example.org\nSubject: both\n\nhello\n";
    run(&mut sendmail, message).good();
    let seen = server.wait_for_messages("ann", 1).remove(0);
    assert!(!seen.contains("Bcc"), "{seen}");
    assert!(
        seen.contains("Message-ID: <") || seen.contains("Message-Id: <"),
        "{seen}"
    );
    assert!(seen.contains("\nDate: "), "{seen}");
    server.wait_for_messages("postmaster", 1);
}

#[test]
fn the_queue_program_takes_its_two_descriptors() {
    let server = Installation::start("example.org");
    let program = server.root().join("bin/qmail-queue");
    // The envelope is read from descriptor 1, so it is opened for reading.
    let envelope = server.root().join("doc/envelope");
    std::fs::write(&envelope, b"Fbob@foreign.example\0Tann@example.org\0\0").unwrap();
    let mut child = Command::new(&program)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(std::fs::File::open(&envelope).unwrap())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Subject: by hand\n\nhello\n")
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(message.contains("Subject: by hand"), "{message}");
    assert!(message.contains("Received: (indimail "), "{message}");
}

#[test]
fn an_envelope_without_its_end_queues_nothing() {
    let server = Installation::start("example.org");
    let envelope = server.root().join("doc/envelope");
    for (bytes, code) in [
        (&b"Fbob@foreign.example\0Tann@example.org\0"[..], 54),
        (b"Xbob@foreign.example\0\0", 91),
        (&[b"F".as_slice(), &[b'a'; 1003], b"\0\0"].concat(), 11),
    ] {
        std::fs::write(&envelope, bytes).unwrap();
        let status = Command::new(server.root().join("bin/qmail-queue"))
            .stdin(Stdio::null())
            .stdout(std::fs::File::open(&envelope).unwrap())
            .status()
            .unwrap();
        let found = status.code();
        assert!(
            found == Some(code) || (code == 91 && found == Some(79)),
            "{found:?}, not {code}"
        );
    }
    let status = server.indimail(&["status"]).out;
    assert!(status.contains(" 0 messages, 0 not yet"), "{status}");
}
