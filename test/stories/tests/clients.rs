//! The clients people use read and file their mail.

use std::fs;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Installation, USER_PASSWORD, run};

fn inject(server: &Installation, subject: &str) {
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-i", "-f", "postmaster@example.org", "ann@example.org"]);
    run(
        &mut sendmail,
        format!("Subject: {subject}\n\nhello\n").as_bytes(),
    )
    .good();
}

#[test]
fn mbsync_mirrors_a_mailbox_both_ways() {
    let server = Installation::start("example.org");
    inject(&server, "for the mirror");
    server.wait_for_messages("ann", 1);
    let local = tempfile::tempdir().unwrap();
    let config = local.path().join("mbsyncrc");
    let port = server.port(143);
    fs::write(
        &config,
        format!(
            "IMAPAccount test\nHost 127.0.0.1\nPort {port}\nUser ann@example.org\n\
             Pass \"{USER_PASSWORD}\"\nSSLType None\nAuthMechs LOGIN\n\n\
             IMAPStore far\nAccount test\n\n\
             MaildirStore near\nPath {0}/mail/\nInbox {0}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            local.path().display()
        ),
    )
    .unwrap();
    fs::create_dir(local.path().join("mail")).unwrap();
    let sync = || {
        run(
            Command::new("mbsync").arg("-c").arg(&config).arg("all"),
            b"",
        )
        .good()
    };
    sync();
    let inbox = local.path().join("mail/INBOX");
    let find = |dir: &str| fs::read_dir(inbox.join(dir)).unwrap().flatten().next();
    let message = find("new")
        .or_else(|| find("cur"))
        .expect("the message came over")
        .path();
    let content = fs::read_to_string(&message).unwrap();
    assert!(content.contains("for the mirror"), "{content}");

    // Flag it seen and flagged here; the server hears of it.
    let name = message.file_name().unwrap().to_string_lossy().into_owned();
    let base = name.split(':').next().unwrap().to_owned();
    fs::rename(&message, inbox.join("cur").join(format!("{base}:2,FS"))).unwrap();
    // And a message written here goes there.
    fs::write(
        inbox.join("cur/1.draft.here:2,S"),
        "Subject: from the client\n\nx\n",
    )
    .unwrap();
    sync();
    let cur: Vec<_> = fs::read_dir(server.maildir("ann").join("cur"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(cur.iter().any(|name| name.ends_with(":2,FS")), "{cur:?}");
    assert_eq!(server.messages("ann").len(), 2);
    // Nothing moves when nothing changed.
    let again = sync();
    assert!(!again.err.to_lowercase().contains("error"), "{}", again.err);
}

#[test]
fn fetchmail_empties_a_pop_mailbox() {
    let server = Installation::start("example.org");
    for n in 0..3 {
        inject(&server, &format!("number {n}"));
    }
    server.wait_for_messages("ann", 3);
    let local = tempfile::tempdir().unwrap();
    let config = local.path().join("fetchmailrc");
    let (port, out) = (server.port(110), local.path().join("fetched"));
    fs::write(
        &config,
        format!(
            "set no syslog\npoll 127.0.0.1 protocol pop3 port {port} user \"ann@example.org\" \
             password \"{USER_PASSWORD}\" sslproto '' no keep mda \"cat >> {}\"\n",
            out.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut fetchmail = Command::new("fetchmail");
    fetchmail
        .env("FETCHMAILHOME", local.path())
        .env("HOME", local.path());
    let ran = run(
        fetchmail
            .arg("-f")
            .arg(&config)
            .args(["--nodetach", "--nosyslog"]),
        b"",
    );
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let fetched = fs::read_to_string(&out).unwrap();
    (0..3).for_each(|n| assert!(fetched.contains(&format!("number {n}")), "{fetched}"));
    assert!(
        server.messages("ann").is_empty(),
        "fetched mail is gone from the server"
    );
}

#[test]
fn mutt_reads_the_inbox_and_saves_to_a_folder() {
    let server = Installation::start("example.org");
    inject(&server, "for mutt");
    server.wait_for_messages("ann", 1);
    let local = tempfile::tempdir().unwrap();
    let (config, port) = (local.path().join("muttrc"), server.port(143));
    fs::write(
        &config,
        format!(
            "set folder=imap://127.0.0.1:{port}/\nset spoolfile=+INBOX\n\
             set imap_user=ann@example.org\nset imap_pass=\"{USER_PASSWORD}\"\n\
             set ssl_starttls=no\nset ssl_force_tls=no\nset imap_authenticators=\"login\"\n\
             set confirmcreate=no\nset confirmappend=no\nset delete=yes\nset move=no\n\
             set quit=yes\nset wait_key=no\nset header_cache=\"\"\n\
             push \"<save-message>=Archive<enter><sync-mailbox><quit>\"\n"
        ),
    )
    .unwrap();
    // mutt wants a terminal; script(1) gives it one.
    let mut mutt = Command::new("script");
    mutt.args([
        "-qec",
        &format!("mutt -n -F {}", config.display()),
        "/dev/null",
    ]);
    mutt.env("TERM", "vt100").env("HOME", local.path());
    let ran = run(&mut mutt, b"");
    assert_eq!(ran.code, 0, "{}", ran.out);
    let archive = server.maildir("ann").join(".Archive");
    let filed: usize = ["new", "cur"]
        .iter()
        .map(|part| fs::read_dir(archive.join(part)).unwrap().count())
        .sum();
    assert_eq!(filed, 1, "mutt saved the message: {}", ran.out);
    assert!(server.messages("ann").is_empty());
}

/// Waits in IDLE; prints "idling", then what the server says, then leaves.
const IDLE: &str = r#"
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rwb", buffering=0)
f.readline()
def say(line): f.write(line.encode() + b"\r\n")
def until(tag):
    while True:
        line = f.readline().decode()
        if line.startswith(tag): return line
say('a LOGIN ann@example.org "%s"' % sys.argv[2]); print(until("a"), flush=True)
say("b SELECT INBOX"); until("b")
say("c IDLE"); until("+")
print("idling", flush=True)
print("heard", until("* 1 EXISTS"), flush=True)
say("DONE"); until("c"); say("d LOGOUT")
"#;

#[test]
fn a_client_in_idle_hears_of_new_mail_at_once() {
    let server = Installation::start("example.org");
    let mut client = Command::new("python3")
        .args(["-c", IDLE, &server.port(143).to_string(), USER_PASSWORD])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(client.stdout.take().unwrap()).lines();
    while lines.next().expect("the client idles").unwrap() != "idling" {}
    inject(&server, "ring");
    let injected = Instant::now();
    let heard = lines.next().unwrap().unwrap();
    assert!(heard.starts_with("heard * 1 EXISTS"), "{heard}");
    // Not a measurement: a client that polls would take minutes.
    assert!(injected.elapsed() < Duration::from_secs(60));
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_library_goes_through_every_command_of_a_session() {
    let server = Installation::start("example.org");
    inject(&server, "one");
    server.wait_for_messages("ann", 1);
    let script = local_script();
    let mut python = Command::new("python3");
    python
        .arg(script.path())
        .arg(server.port(143).to_string())
        .arg(USER_PASSWORD);
    let ran = run(&mut python, b"");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

fn local_script() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(include_bytes!("session.py")).unwrap();
    file
}
