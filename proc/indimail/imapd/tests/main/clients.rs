//! What real clients do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::site::Site;

fn deliver(maildir: &Path, name: &str, message: &str) {
    let tmp = maildir.join("tmp").join(name);
    std::fs::write(&tmp, message).unwrap();
    std::fs::rename(tmp, maildir.join("new").join(name)).unwrap();
}

/// A client that speaks line by line.
struct Client {
    read: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut client = Self {
            read: BufReader::new(stream),
        };
        assert!(client.line().starts_with("* OK [CAPABILITY IMAP4rev1"));
        client
    }

    fn send(&mut self, text: &str) {
        self.read.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.read.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lines as far as the one that begins so.
    fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "ended before {start}: {lines:?}");
            let done = line.starts_with(start);
            lines.push(line);
            if done {
                return lines;
            }
        }
    }
}

#[test]
fn python_imaplib_lives_through_a_day() {
    let mut site = Site::start("");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/main/day.py");
    let Ok(output) = Command::new("python3")
        .arg(script)
        .arg(site.port.to_string())
        .output()
    else {
        eprintln!("no python3 here");
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(site.stop(), "SIGTERM ends quickly and well");
    let log = site.log();
    for line in [
        "INFO: Connection, ip=[127.0.0.1], port=",
        "INFO: LOGIN, user=ann@example.org, ip=[127.0.0.1], port=[",
        "ERR: LOGIN FAILED, ip=[127.0.0.1], port=",
        "INFO: LOGOUT, user=ann@example.org, ip=[127.0.0.1], port=",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn idling_clients_hear_of_deliveries_flags_and_expunges() {
    let site = Site::start("");
    let mut idler = Client::connect(site.port);
    idler.send("a LOGIN bob@example.org secret\r\n");
    idler.until("a OK");
    let maildir = site.maildir("bob@example.org");
    idler.send("b SELECT INBOX\r\nc IDLE\r\n");
    idler.until("+ ");
    deliver(&maildir, "1.one", "Subject: one\n\nhello\n");
    idler.until("* 1 EXISTS");
    let mut other = Client::connect(site.port);
    other.send("a LOGIN bob@example.org secret\r\nb SELECT INBOX\r\n");
    other.send("c STORE 1 +FLAGS (\\Flagged)\r\n");
    other.until("c OK");
    let told = idler.until("* 1 FETCH");
    assert!(told.last().unwrap().contains("\\Flagged"), "{told:?}");
    other.send("d STORE 1 +FLAGS.SILENT (\\Deleted)\r\ne EXPUNGE\r\n");
    assert!(other.until("e OK").contains(&"* 1 EXPUNGE".to_owned()));
    idler.until("* 1 EXPUNGE");
    idler.send("DONE\r\n");
    idler.until("c OK");
}

#[test]
fn a_mailbox_that_is_full_takes_nothing_more() {
    let site = Site::start("1000S,100C");
    let mut client = Client::connect(site.port);
    client.send("a LOGIN eve@example.org secret\r\n");
    client.until("a OK");
    client.send("b GETQUOTAROOT INBOX\r\n");
    let told = client.until("b OK");
    assert_eq!(
        told[..2],
        [
            "* QUOTAROOT INBOX \"ROOT\"",
            "* QUOTA \"ROOT\" (STORAGE 0 1 MESSAGE 0 100)"
        ]
    );
    let message = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(600));
    client.send(&format!(
        "c APPEND INBOX {{{}+}}\r\n{message}\r\n",
        message.len()
    ));
    client.until("c OK [APPENDUID");
    client.send(&format!(
        "d APPEND INBOX {{{}+}}\r\n{message}\r\n",
        message.len()
    ));
    client.until("d NO [OVERQUOTA]");
    client.send("e CREATE Trash\r\nf SELECT INBOX\r\ng MOVE 1 Trash\r\n");
    client.until("g OK");
    client.send(&format!("h APPEND INBOX {{{}}}\r\n", message.len()));
    client.until("+ ");
    client.send(&format!("{message}\r\n"));
    client.until("h OK [APPENDUID");
}

#[test]
fn guests_are_kept_on_a_short_lead() {
    let site = Site::start("");
    // Attack 20: literal storms, endless lines.
    for text in [
        "a LOGIN {4294967295}\r\n".to_owned(),
        "a LOGIN {99999999999999999999+}\r\n".to_owned(),
        "x".repeat(10_000),
        format!("a LOGIN {}\r\n", "(".repeat(9_000)),
    ] {
        let mut client = Client::connect(site.port);
        client.send(&text);
        client.until("* BYE");
        assert_eq!(client.line(), "");
    }
    let mut client = Client::connect(site.port);
    client.send(&"a FOO\r\n".repeat(30));
    client.until("* BYE too many errors");
}
