//! A newcomer types one command, sends mail and reads it.

use std::process::Command;

use testkit::{Installation, USER_PASSWORD, run};

/// Reads the newest message of ann over IMAP and POP3 with Python's own
/// libraries; prints UID, UIDVALIDITY and subject.
const READ: &str = r#"
import imaplib, poplib, sys, email
imap_port, pop_port, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
box = imaplib.IMAP4("127.0.0.1", imap_port)
box.login(user, password)
print(box.select("INBOX"))
code, found = box.uid("SEARCH", None, "ALL")
uid = found[0].split()[-1]
code, data = box.uid("FETCH", uid, "(FLAGS BODY.PEEK[])")
message = email.message_from_bytes(data[0][1])
print("uid", uid.decode(), "validity", box.response("UIDVALIDITY")[1], "subject", message["Subject"])
box.logout()
box = poplib.POP3("127.0.0.1", pop_port)
box.user(user); box.pass_(password)
lines = box.retr(box.stat()[0])[1]
print("pop", [line.decode() for line in lines if line.startswith(b"Subject:")])
box.quit()
"#;

fn read(server: &Installation) -> String {
    let mut python = Command::new("python3");
    python.args([
        "-c",
        READ,
        &server.port(143).to_string(),
        &server.port(110).to_string(),
    ]);
    python.args(["ann@example.org", USER_PASSWORD]);
    run(&mut python, b"").good().out
}

#[test]
fn mail_comes_in_is_read_and_survives_a_restart() {
    let mut server = Installation::start("example.org");
    for text in [
        "postmaster@example.org",
        "IN MX 10",
        "v=spf1",
        "v=DKIM1",
        "_dmarc",
        "_mta-sts",
        "_smtp._tls",
        "IN SRV",
    ] {
        assert!(
            server.printed.contains(text),
            "first steps lack {text}:\n{}",
            server.printed
        );
    }
    let kept = std::fs::read_to_string(server.root().join("doc/first-steps.txt")).unwrap();
    assert!(kept.contains("v=DKIM1"));

    let mut swaks = Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &server.port(25).to_string(),
    ]);
    swaks.args(["--from", "bob@foreign.example", "--to", "ann@example.org"]);
    swaks.args([
        "--header",
        "Subject: the first letter",
        "--body",
        "hello ann",
    ]);
    let spoken = run(&mut swaks, b"").good().out;
    assert!(spoken.contains("250"), "{spoken}");

    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(
        message.starts_with("Return-Path: <bob@foreign.example>\n"),
        "{message}"
    );
    assert!(
        message.contains("Delivered-To:") && message.contains("hello ann"),
        "{message}"
    );

    let before = read(&server);
    assert!(before.contains("subject the first letter"), "{before}");
    assert!(
        before.contains("pop ['Subject: the first letter']"),
        "{before}"
    );
    server.restart();
    assert_eq!(read(&server), before, "UIDs and mail are as they were");
    assert_eq!(server.stop(), Some(0), "a stop is clean");
}

#[test]
fn a_second_quickstart_on_the_same_root_is_refused_while_the_first_runs() {
    let server = Installation::start("example.org");
    let mut again = server.tool("indimail");
    again
        .args(["quickstart", "example.org", "--root"])
        .arg(server.root());
    let ran = run(&mut again, b"");
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("already running"), "{}", ran.err);
}
