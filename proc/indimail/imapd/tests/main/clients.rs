//! What real clients do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
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
            .set_read_timeout(Some(Duration::from_secs(90)))
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
    let home = tempfile::tempdir().unwrap();
    if python("day.py", &[&site.port.to_string()], home.path()).is_none() {
        eprintln!("no python3 here");
        return;
    }
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
        "x".repeat(40_000),
        format!("a LOGIN {}\r\n", "(".repeat(36_000)),
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

/// Runs a program that may not be installed; `None` when it is not.
fn run(program: &str, arguments: &[&str], home: &Path, input: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("HOME", home)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let _ = child.stdin.take()?.write_all(input.as_bytes());
    let output = child.wait_with_output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    Some(said)
}

/// Runs a script of ours; `None` when there is no python3.
fn python(script: &str, arguments: &[&str], home: &Path) -> Option<String> {
    let script = format!("{}/tests/main/{script}", env!("CARGO_MANIFEST_DIR"));
    let arguments = [&[script.as_str()], arguments].concat();
    run("python3", &arguments, home, "")
}

fn files(directory: &Path) -> usize {
    let count = |sub: &str| std::fs::read_dir(directory.join(sub)).map_or(0, Iterator::count);
    count("cur") + count("new")
}

#[test]
fn mbsync_copies_both_ways() {
    let site = Site::start("");
    let home = tempfile::tempdir().unwrap();
    let mut client = Client::connect(site.port);
    client.send("a LOGIN sync@example.org secret\r\nb CREATE Work.Deep\r\n");
    client.until("b OK");
    let maildir = site.maildir("sync@example.org");
    for n in 0..30 {
        deliver(
            &maildir,
            &format!("{n}.x"),
            &format!("Subject: {n}\nMessage-ID: <{n}@x>\n\nbody {n}\n"),
        );
    }
    let local = home.path().join("local");
    std::fs::create_dir(&local).unwrap();
    let local = local.display();
    let config = home.path().join("config");
    let port = site.port;
    let text = format!(
        "IMAPAccount a\nHost 127.0.0.1\nPort {port}\nUser sync@example.org\nPass secret\n\
         SSLType None\nAuthMechs LOGIN PLAIN\n\nIMAPStore far\nAccount a\n\n\
         MaildirStore near\nPath {local}/\nInbox {local}/INBOX\nSubFolders Verbatim\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let sync = || run("mbsync", &["-c", &config, "-a"], home.path(), "");
    if sync().is_none() {
        eprintln!("no mbsync here");
        return;
    }
    let near = home.path().join("local");
    assert_eq!(files(&near.join("INBOX")), 30);
    assert!(near.join("Work/Deep/cur").is_dir() && near.join("Sent/cur").is_dir());
    // One new message and one flag from the near side, one expunge from far.
    std::fs::write(near.join("Sent/cur/1.new:2,S"), "Subject: sent\n\nx\n").unwrap();
    client.send("d SELECT INBOX\r\ne STORE 1 +FLAGS.SILENT (\\Deleted)\r\nf EXPUNGE\r\n");
    client.until("f OK");
    sync();
    assert_eq!(files(&near.join("INBOX")), 29);
    client.send("g STATUS Sent (MESSAGES UNSEEN)\r\n");
    assert!(
        client
            .until("g OK")
            .contains(&"* STATUS Sent (MESSAGES 1 UNSEEN 0)".to_owned())
    );
}

#[test]
fn fetchmail_takes_everything_away() {
    let site = Site::start("");
    let home = tempfile::tempdir().unwrap();
    let mut client = Client::connect(site.port);
    client.send("a LOGIN pop@example.org secret\r\n");
    client.until("a OK");
    let maildir = site.maildir("pop@example.org");
    for n in 0..5 {
        deliver(
            &maildir,
            &format!("{n}.x"),
            &format!("Subject: {n}\n\nbody {n}\n"),
        );
    }
    let rc = home.path().join("rc");
    let out = home.path().join("out");
    let text = format!(
        "poll 127.0.0.1 proto imap port {} auth password\n user \"pop@example.org\" \
         password \"secret\" sslproto \"\" mda \"cat >> {}\"\n",
        site.port,
        out.display()
    );
    std::fs::write(&rc, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&rc, mode).unwrap();
    let rc = rc.display().to_string();
    let pid = home.path().join("pid").display().to_string();
    let arguments = ["-f", &rc, "--nosyslog", "--pidfile", &pid, "--sslproto", ""];
    if run("fetchmail", &arguments, home.path(), "").is_none() {
        eprintln!("no fetchmail here");
        return;
    }
    let taken = std::fs::read_to_string(&out).unwrap();
    assert_eq!(taken.matches("\nbody ").count(), 5);
    client.send("b STATUS INBOX (MESSAGES)\r\n");
    assert!(
        client
            .until("b OK")
            .contains(&"* STATUS INBOX (MESSAGES 0)".to_owned())
    );
}

#[test]
fn tls_protects_from_the_first_byte_or_when_asked() {
    let home = tempfile::tempdir().unwrap();
    for mode in ["implicit", "starttls"] {
        let site = Site::start_with("", mode);
        let port = site.port.to_string();
        if python("encrypted.py", &[&port, mode], home.path()).is_none() {
            eprintln!("no python3 here");
            return;
        }
        assert_eq!(site.log().contains(", starttls=1"), mode == "starttls");
    }
}

#[test]
fn commands_smuggled_in_before_tls_are_never_run() {
    // Attack 5: what is pipelined after STARTTLS came from anybody.
    let site = Site::start_with("", "starttls");
    let mut client = Client::connect(site.port);
    client.send("a STARTTLS\r\nb LOGIN ann@example.org secret\r\n");
    client.until("a OK");
    assert_eq!(client.line(), "");
    assert!(!site.log().contains("INFO: LOGIN"));
}

#[test]
fn mutt_reads_and_deletes() {
    let site = Site::start("");
    let home = tempfile::tempdir().unwrap();
    let mut client = Client::connect(site.port);
    client.send("a LOGIN mutt@example.org secret\r\n");
    client.until("a OK");
    let maildir = site.maildir("mutt@example.org");
    for n in 0..3 {
        deliver(
            &maildir,
            &format!("{n}.x"),
            &format!("From: a@x\nSubject: letter {n}\n\nbody {n}\n"),
        );
    }
    if !Path::new("/usr/bin/mutt").exists() {
        eprintln!("no mutt here");
        return;
    }
    // Read the first one, delete it, save the next one elsewhere, go.
    let keys = "\n|i|d|s|=Kept\n|\n|$|q|q|q";
    let Some(screen) = python("mutt.py", &[&site.port.to_string(), keys], home.path()) else {
        eprintln!("no python3 here");
        return;
    };
    assert!(
        screen.contains("letter 0") && screen.contains("body 0"),
        "{screen}"
    );
    client.send("b SELECT INBOX\r\nc STATUS Kept (MESSAGES)\r\n");
    let told = client.until("c ");
    assert!(
        told.contains(&"* 1 EXISTS".to_owned()),
        "{told:?}\n{screen}"
    );
    assert!(
        told.contains(&"* STATUS Kept (MESSAGES 1)".to_owned()),
        "{told:?}\n{screen}"
    );
}
