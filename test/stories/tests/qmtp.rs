//! Hosts without a queue, and hosts that speak QMTP, under tcpserver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use testkit::{Background, Builder, Installation};

/// A program under tcpserver, on a port of the kernel's choice.
struct Service {
    port: u16,
    _server: Background,
}

fn under_tcpserver(server: &Installation, program: &str, variables: &[(&str, String)]) -> Service {
    let mut command = server.tool("tcpserver");
    command
        .args(["-1", "-H", "-R", "-l", "0", "127.0.0.1", "0"])
        .arg(server.root().join("bin").join(program))
        .envs(variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    Service {
        port: line.trim().parse().unwrap(),
        _server: Background(child),
    }
}

/// Hands a message to a QMQP server as a front-end would.
fn qmqpc(server: &Installation, port: u16, message: &[u8]) -> Option<i32> {
    let envelope = server.root().join("doc/qmqp-envelope");
    std::fs::write(&envelope, b"Fbob@foreign.example\0Tann@example.org\0\0").unwrap();
    let mut child = Command::new(server.root().join("bin/qmail-qmqpc"))
        .arg(format!("127.0.0.1:{port}"))
        .env_clear()
        .env("QMAILDIR", server.root())
        .env("TMPDIR", server.root().join("doc"))
        .env("TIMEOUTREMOTE", "60")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::open(&envelope).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait().unwrap().code()
}

// Acceptance 50.
#[test]
fn a_host_without_a_queue_uses_ours() {
    let server = Installation::start("example.org");
    let stub = server.root().join("doc/stub");
    let kept = server.root().join("doc/kept");
    let script = format!("#!/bin/sh\ncat >{}\ncat <&1 >/dev/null\n", kept.display());
    testkit::write_script(&stub, &script);
    let named = [("QMAILQUEUE", stub.display().to_string())];
    let service = under_tcpserver(&server, "qmail-qmqpd", &named);
    let message = b"Subject: bytes\n\n\0\xff\r\n.\nno newline at the end";
    assert_eq!(qmqpc(&server, service.port, message), Some(0));
    assert_eq!(std::fs::read(&kept).unwrap(), message);

    let service = under_tcpserver(&server, "qmail-qmqpd", &[]);
    assert_eq!(
        qmqpc(&server, service.port, b"Subject: over QMQP\n\nhi\n"),
        Some(0)
    );
    let got = server.wait_for_messages("ann", 1).remove(0);
    assert!(got.contains("Subject: over QMQP\n\nhi\n"), "{got}");
    let port = service.port;
    drop(service);
    assert_eq!(qmqpc(&server, port, message), Some(73));
}

#[test]
fn a_host_that_speaks_qmtp_sends_mail_here() {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    let server = setup.start();
    let service = under_tcpserver(&server, "qmail-qmtpd", &[]);
    let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    let text = "\nSubject: over QMTP\n\nhello\n";
    let recipients = ["ann@example.org", "nobody@example.org", "x@far.test"];
    let inner: String = recipients
        .iter()
        .map(|r| format!("{}:{r},", r.len()))
        .collect();
    let package = format!("{}:{text},7:a@b.com,{}:{inner},", text.len(), inner.len());
    // Two at once; then the client stays a while.
    stream.write_all(package.repeat(2).as_bytes()).unwrap();
    let mut said = Vec::new();
    while said.iter().filter(|&&b| b == b',').count() < 8 {
        let mut piece = [0; 500];
        let length = stream.read(&mut piece).unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..length]);
    }
    drop(stream);
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches(":Kok ").count(), 2, "{said}");
    assert_eq!(
        said.matches("is absent on this domain (#5.1.1)").count(),
        2,
        "{said}"
    );
    let got = server.wait_for_messages("ann", 2).remove(0);
    assert!(got.contains(" with QMTP id "), "{got}");
    let ledger = server.indimail(&["ledger"]).good();
    assert!(!ledger.out.contains("lost: "), "{}", ledger.out);
}

/// A maildir of mail for another host, as `.qmail-default` of its alias fills
/// it, with one message that is `age` old.
fn maildir_for_another_host(server: &Installation, age: Duration) -> PathBuf {
    let maildir = server.root().join("doc/held");
    for part in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(maildir.join(part)).unwrap();
    }
    let message = maildir.join("new/1.2.host");
    let text = "Return-Path: <bob@foreign.example>\nDelivered-To: held-ann@example.org\nSubject: held\n\nhi\n";
    std::fs::write(&message, text).unwrap();
    let file = std::fs::File::options().write(true).open(&message).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    maildir
}

fn maildirqmtp(server: &Installation, maildir: &Path, port: u16) -> Output {
    server
        .tool("maildirqmtp")
        .arg(maildir)
        .args(["held-", "127.0.0.1"])
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn our_client_of_qmtp_and_our_server_agree() {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    let server = setup.start();
    let service = under_tcpserver(&server, "qmail-qmtpd", &[]);
    for age in [20, 0] {
        let maildir = maildir_for_another_host(&server, Duration::from_secs(age));
        let ended = maildirqmtp(&server, &maildir, service.port);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned()
            + &String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(0), "{said}");
        let left = std::fs::read_dir(maildir.join("new")).unwrap().count();
        assert_eq!(left, 0, "{age}: {said}");
    }
    let got = server.wait_for_messages("ann", 2).remove(0);
    assert!(got.contains("Subject: held\n\nhi\n"), "{got}");
}
