//! The acceptance ideas of queue-and-delivery.md §12 about other servers,
//! numbered as there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use testkit::Dns;

/// Delivers `hi` to this host with these control files; the report, NULs
/// shown as `|`.
fn deliver(root: &Path, host: &str, routes: &str, resolver: &str) -> String {
    fs::create_dir_all(root.join("control")).unwrap();
    fs::create_dir_all(root.join("queue/queue1/lock")).unwrap();
    for (name, content) in [
        ("control/me", "client.example\n"),
        ("control/smtproutes", routes),
        ("control/timeoutremote", "20\n"),
        ("message", "Subject: hi\n\nhi\n"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    let recipient = format!("bob@{host}");
    let output = Command::new(env!("CARGO_BIN_EXE_qmail-remote"))
        .args([host, "ann@a.example", "", "16", &recipient])
        .env_clear()
        .env("QMAILDIR", root)
        .env("QUEUEDIR", root.join("queue/queue1"))
        .env("DNSRESOLVER", resolver)
        .stdin(fs::File::open(root.join("message")).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().replace('\0', "|")
}

/// A server that takes everything but what begins like one of these, for one
/// connection; the commands it heard.
fn serve(rows: &'static [(&'static str, &'static str)]) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let reply = |step: &str, usual: &str| {
            let row = rows.iter().find(|(command, _)| step.starts_with(command));
            row.map_or(usual, |(_, reply)| *reply).to_owned() + "\r\n"
        };
        let mut heard = Vec::new();
        let mut answer = reply("greeting", "220 test");
        while stream.write_all(answer.as_bytes()).is_ok() {
            let Some(Ok(line)) = lines.next() else { break };
            answer = match line.as_str() {
                "QUIT" => break,
                "DATA" => reply("DATA", "354 go"),
                "." => reply(".", "250 queued"),
                // The text has no answer until its dot.
                _ if answer.starts_with("354") => continue_text(&mut lines, &reply),
                command => reply(command, "250 ok"),
            };
            heard.push(line);
        }
        heard
    });
    (port, thread)
}

fn continue_text(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    reply: &impl Fn(&str, &str) -> String,
) -> String {
    for line in lines {
        if line.is_ok_and(|line| line == ".") {
            break;
        }
    }
    reply(".", "250 queued")
}

#[test]
fn acceptance_39_each_reply_has_its_letter_and_text() {
    const WHO: &str = "From: <ann@a.example> RCPT: <bob@b.example> 127.0.0.1 does not like";
    let recipient = |letter: &str, said: &str| {
        format!("{letter}{WHO} recipient.\nRemote host said: {said}\n|DGiving up on 127.0.0.1.\n|")
    };
    let message = |text: &str, said: &str| format!("{text}.\nRemote host said: {said}\n|");
    let after_recipient = |text: &str, said: &str| format!("r|{}", message(text, said));
    let greeting = "DConnected to 127.0.0.1 but greeting failed";
    let name = |letter| format!("{letter}Connected to 127.0.0.1 but my name was rejected");
    let sender = |letter| format!("{letter}Connected to 127.0.0.1 but sender was rejected");
    let cases: [(&'static [(&str, &str)], String); 15] = [
        (&[("greeting", "554 no")], message(greeting, "554 no")),
        (
            &[("EHLO", "502 what"), ("HELO", "550 no")],
            message(&name('D'), "550 no"),
        ),
        (
            &[("EHLO", "502 what"), ("HELO", "450 no")],
            message(&name('Z'), "450 no"),
        ),
        (&[("EHLO", "450 no")], message(&name('Z'), "450 no")),
        (&[("MAIL", "550 no")], message(&sender('D'), "550 no")),
        (&[("MAIL", "452 no")], message(&sender('Z'), "452 no")),
        (&[("RCPT", "550 no")], recipient("h", "550 no")),
        (&[("RCPT", "450 no")], recipient("s", "450 no")),
        (
            &[("DATA", "554 no")],
            after_recipient("D127.0.0.1 failed on DATA command", "554 no"),
        ),
        (
            &[("DATA", "451 no")],
            after_recipient("Z127.0.0.1 failed on DATA command", "451 no"),
        ),
        (
            &[(".", "554 no")],
            after_recipient("D127.0.0.1 failed after I sent the message", "554 no"),
        ),
        (
            &[(".", "451 no")],
            after_recipient("Z127.0.0.1 failed after I sent the message", "451 no"),
        ),
        // What is no reply counts as 400.
        (&[("MAIL", "nonsense")], message(&sender('Z'), "nonsense")),
        (
            &[("EHLO", "502 what")],
            after_recipient("K127.0.0.1 accepted message", "250 queued"),
        ),
        (
            &[(".", "250-one\r\n250 two")],
            after_recipient("K127.0.0.1 accepted message", "250-one\n250 two"),
        ),
    ];
    for (rows, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (port, server) = serve(rows);
        let routes = format!(":127.0.0.1:{port}\n");
        let report = deliver(directory.path(), "b.example", &routes, "127.0.0.1:1");
        assert_eq!(report, expected, "{rows:?}");
        server.join().unwrap();
    }
}

#[test]
fn a_greeting_for_now_leads_to_the_next_host_and_is_told_when_there_is_none() {
    for greeting in ["421 busy", "250 no greeting"] {
        let rows: &'static [_] = Box::leak(Box::new([("greeting", greeting)]));
        let directory = tempfile::tempdir().unwrap();
        let (port, server) = serve(rows);
        let routes = format!(":127.0.0.1:{port}\n");
        let report = deliver(directory.path(), "b.example", &routes, "127.0.0.1:1");
        assert!(report.starts_with('Z'), "{report}");
        assert!(report.contains(greeting), "{report}");
        let heard = server.join().unwrap();
        assert!(
            !heard.iter().any(|line| line.starts_with("MAIL")),
            "{heard:?}"
        );
    }
}

/// A resolver that can only say that it has trouble; what it was asked.
fn no_resolver() -> (String, Arc<Mutex<Vec<u8>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        let mut packet = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            heard.lock().unwrap().extend_from_slice(&packet[..length]);
            // A response, and SERVFAIL.
            packet[2] |= 0x80;
            packet[3] = 2;
            let _ = socket.send_to(&packet[..length], client);
        }
    });
    (address, asked)
}

#[test]
fn acceptance_40_a_route_needs_no_mx_and_an_empty_one_exempts() {
    let directory = tempfile::tempdir().unwrap();
    let (resolver, asked) = no_resolver();
    let (port, server) = serve(&[]);
    let routes = format!("example.com:127.0.0.1:{port}\n.example.com:\n:127.0.0.1:1\n");
    let report = deliver(directory.path(), "Example.com", &routes, &resolver);
    assert!(report.starts_with("r|K127.0.0.1 accepted"), "{report}");
    server.join().unwrap();
    assert!(asked.lock().unwrap().is_empty(), "a question was asked");

    let report = deliver(directory.path(), "sub.example.com", &routes, &resolver);
    let text = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n";
    assert!(report.starts_with(text), "{report}");
    let asked = asked.lock().unwrap().to_ascii_lowercase();
    assert!(asked.windows(12).any(|part| part == b"\x03sub\x07example"));
    // Everybody else has the route of the empty key.
    let report = deliver(directory.path(), "else.test", &routes, &resolver);
    assert!(
        report.contains(" to 127.0.0.1 port 1. (#4.4.1)\n"),
        "{report}"
    );
}

#[test]
fn acceptance_42_mail_for_ourselves_bounces_and_only_better_hosts_are_tried() {
    let dns = Dns::start(&[
        "mx-host=best.test,me.test,10",
        "mx-host=second.test,other.test,5",
        "mx-host=second.test,me.test,10",
        "mx-host=second.test,worse.test,20",
        "address=/me.test/127.0.0.1",
        "address=/other.test/192.0.2.1",
        "address=/worse.test/192.0.2.2",
    ]);
    let resolver = format!("127.0.0.1:{}", dns.port);
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("control")).unwrap();
    fs::write(directory.path().join("control/timeoutconnect"), "1\n").unwrap();
    assert_eq!(
        deliver(directory.path(), "best.test", "", &resolver),
        "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
         it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n|"
    );
    let report = deliver(directory.path(), "second.test", "", &resolver);
    assert!(
        report.contains(" for second.test to 192.0.2.1 port 25."),
        "{report}"
    );
}

#[test]
fn acceptance_43_a_dead_host_is_left_alone_after_two_failures_apart() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let table = root.join("queue/queue1/lock/tcpto");
    fs::create_dir_all(table.parent().unwrap()).unwrap();
    fs::write(&table, [0; 2048]).unwrap();
    let count_and_age = |age: u32| {
        let mut bytes = fs::read(&table).unwrap();
        let record = bytes.chunks_mut(32).find(|record| record[0] != 0).unwrap();
        let time = u32::from_le_bytes(record[8..12].try_into().unwrap());
        record[8..12].copy_from_slice(&(time - age).to_le_bytes());
        let count = record[4];
        fs::write(&table, &bytes).unwrap();
        count
    };
    let fail = || {
        let report = deliver(root, "b.example", ":127.0.0.1:1\n", "127.0.0.1:1");
        assert!(report.ends_with(" port 1. (#4.4.1)\n|"), "{report}");
    };
    fail();
    fail();
    assert_eq!(count_and_age(121), 1, "failures at once count as one");
    fail();
    assert_eq!(count_and_age(0), 2);

    // A server is there again, but nobody knocks until the table is cleared.
    let (port, server) = serve(&[]);
    let routes = format!(":127.0.0.1:{port}\n");
    let report = deliver(root, "b.example", &routes, "127.0.0.1:1");
    assert!(
        report.starts_with("ZSorry, I wasn't able to establish"),
        "{report}"
    );
    fs::write(&table, [0; 2048]).unwrap();
    let report = deliver(root, "b.example", &routes, "127.0.0.1:1");
    assert!(report.starts_with("r|K127.0.0.1 accepted"), "{report}");
    server.join().unwrap();
}
