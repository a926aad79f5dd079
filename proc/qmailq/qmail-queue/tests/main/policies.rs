//! What control files and variables do to a message
//! (queue-and-delivery.md §3.1.5).

use std::io::Read;
use std::process::Command;

use crate::{ENVELOPE, Site};

impl Site {
    fn control(&self, name: &str, content: &str) {
        let path = self.directory.path().join("control").join(name);
        std::fs::write(path, content).unwrap();
    }

    /// The records of recipients and extra lines of the only message.
    fn records(&self) -> Vec<String> {
        let envelope = self.envelope(self.messages()[0]);
        let records = envelope.split('\0').map(str::to_owned);
        records.filter(|r| r.starts_with(['T', 'e'])).collect()
    }
}

#[test]
fn copies_come_first_and_archives_last() {
    let site = Site::new();
    site.control("extraqueue", "log@example.org\n");
    site.control(
        "mailarchive",
        "T:*@example.net:net@arc\nF:ann@*:of-%u@arc\n",
    );
    assert_eq!(site.queue(b"\n", ENVELOPE, &[]), Some(0));
    assert_eq!(
        site.records(),
        [
            "Tlog@example.org",
            "Tbob@example.org",
            "Tcarol@example.net",
            "Tof-ann@arc",
            "Tnet@arc"
        ]
    );
}

#[test]
fn a_variable_that_is_empty_switches_a_policy_off() {
    let site = Site::new();
    site.control("extraqueue", "log@example.org\n");
    site.control("quarantine", "jail@example.org\n");
    site.control("mailarchive", "T::arc@example.org\n");
    let off = [("EXTRAQUEUE", ""), ("QUARANTINE", ""), ("MAILARCHIVE", "")];
    assert_eq!(site.queue(b"\n", ENVELOPE, &off), Some(0));
    assert_eq!(site.records(), ["Tbob@example.org", "Tcarol@example.net"]);
}

#[test]
fn quarantine_replaces_recipients_and_names_them() {
    let site = Site::new();
    let jail = [("QUARANTINE", "jail@example.org"), ("QQEH", "X-A: 1")];
    assert_eq!(site.queue(b"\n", ENVELOPE, &jail), Some(0));
    let named = "eX-A: 1\nX-Quarantine-ID: jail@example.org,bob@example.org,carol@example.net\n";
    assert_eq!(site.records(), ["Tjail@example.org", named]);
}

#[test]
fn mail_to_the_quarantine_is_where_it_should_be() {
    let site = Site::new();
    let jail = [("QUARANTINE", "jail@example.org")];
    assert_eq!(
        site.queue(b"\n", b"F\0TJail@example.org\0\0", &jail),
        Some(0)
    );
    assert_eq!(site.records(), ["Tjail@example.org"]);
}

#[test]
fn whole_names_are_removed_with_their_continuations() {
    let site = Site::new();
    site.control("removeheaders", "to\nX-Foo:\n");
    let text = b"To: a\n b\nTopic: t\nX-FOO : 1\n\t2\nX-Foobar: 3\n\nTo: body\nX-Foo: body\n";
    assert_eq!(site.queue(text, ENVELOPE, &[]), Some(0));
    let mess = std::fs::read_to_string(site.layout().mess(site.messages()[0])).unwrap();
    let rest = mess.split_once('\n').unwrap().1;
    assert_eq!(rest, "Topic: t\nX-Foobar: 3\n\nTo: body\nX-Foo: body\n");
}

#[test]
fn logged_fields_go_where_the_caller_wants_them() {
    let site = Site::new();
    site.control("logheaders", "Subject\n");
    let envelope = site.directory.path().join("envelope");
    std::fs::write(&envelope, ENVELOPE).unwrap();
    let message = site.directory.path().join("message");
    std::fs::write(&message, "Subject: one\n two\nTo: x\n\nSubject: body\n").unwrap();
    let log = site.directory.path().join("log");
    let run = |variables: &str, redirect: &str| {
        let program = env!("CARGO_BIN_EXE_qmail-queue");
        let script = format!("{variables} exec {program} <\"$0\" 1<\"$1\" {redirect}");
        let output = Command::new("bash")
            .args(["-c", &script])
            .args([&message, &envelope, &log])
            .env("QMAILDIR", site.directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run("", "").contains("Subject: one two\n"));
    let said = run("LOGHEADERFD=9", "9>\"$2\"");
    assert_eq!(said, "");
    let mut text = String::new();
    std::fs::File::open(&log)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "Subject: one two\n");
    // A descriptor that is not there is no reason to refuse a message.
    run("LOGHEADERFD=9", "");
}

#[test]
fn a_client_that_relays_is_told_and_a_host_can_hide() {
    let site = Site::new();
    let client = [
        ("TCPREMOTEIP", "192.0.2.9"),
        ("HOSTNAME", "mx"),
        ("ORIGINIPFIELD", "1"),
    ];
    let second_line = |more: &[(&str, &str)]| {
        let before = site.messages();
        let variables = [&client, more].concat();
        assert_eq!(site.queue(b"X: y\n", ENVELOPE, &variables), Some(0));
        let id = site.messages().into_iter().find(|id| !before.contains(id));
        let mess = std::fs::read_to_string(site.layout().mess(id.unwrap())).unwrap();
        mess.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(second_line(&[]), "X: y");
    assert_eq!(
        second_line(&[("RELAYCLIENT", "")]),
        "X-Originating-IP: 192.0.2.9"
    );
    assert_eq!(
        second_line(&[("TCPREMOTEINFO", "ann")]),
        "X-Originating-IP: 192.0.2.9"
    );
    assert_eq!(
        second_line(&[("RELAYCLIENT", ""), ("HIDE_HOST", "1")]),
        "X: y"
    );
}
