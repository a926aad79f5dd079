//! What becomes of messages, from `todo` to the log and the last file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use os::signal::Signal;

use crate::installation::Installation;
use testkit::write_script;

/// Local deliveries: arguments are `-- user home local dash ext domain sender
/// default qqeh`.
pub const LOCAL: &str = r#"case "$4" in
  *slow-defer*) sleep 1; exit 111;;
  *fail*) echo 'No such mailbox here. (#5.1.1)'; exit 100;;
  *defer*) echo 'Come back later. (#4.2.1)'; exit 111;;
  *crash*) kill -9 $$;;
  *slow*) sleep 1;;
esac
root=${0%/bin/local}
{ echo "$X_COLOUR $4 for $8 by $9 as $(id -u)"; cat; } >>"$root/delivered"
echo did 1+0+0"#;
pub const REMOTE: &str = r#"case "$5" in
  *defer*) printf 'r\0Z1.2.3.4 busy\n\0';;
  *fail*) printf 'h1.2.3.4 does not like recipient. (#5.1.1)\n\0Zdropped\0';;
  *) id -un >>"${0%/bin/remote}/remote-user"; cat >>"${0%/bin/remote}/sent"; echo "to $5 at $1 size $4" >>"${0%/bin/remote}/sent"
     printf 'r\0K1.2.3.4 accepted message.\n\0';;
esac"#;

pub fn installation() -> Installation {
    Installation::new(LOCAL, REMOTE)
}

/// The lines of one message's story, with its number replaced.
fn story(lines: &[String], id: u64) -> Vec<String> {
    let number = id.to_string();
    let is_start = |line: &&String| line.starts_with("new msg");
    let skipped = lines.iter().position(|line| is_start(&line)).unwrap();
    lines[skipped..]
        .iter()
        .map(|line| line.replace(&number, "N"))
        .collect()
}

/// Acceptance idea 4; qmail-queue's side is a test of its own.
#[test]
fn acceptance_4_a_message_to_nobody_ends_without_a_delivery() {
    let mut here = installation();
    here.start();
    let id = here.queue("hi\n", "ann@here.example", &[]);
    let lines = here.wait_for_line(&format!("end msg {id}"));
    assert_eq!(
        story(&lines, id),
        [
            "new msg N",
            "info msg N: bytes 3 from <ann@here.example> qp 77 uid 1000",
            "end msg N",
        ]
    );
    here.wait_for("empty queue", || here.queue_files().is_empty());
}

#[test]
fn a_remote_message_has_a_story_of_seven_lines() {
    let mut here = installation();
    here.start();
    let id = here.queue(
        "Subject: hi\n\nhi\n",
        "ann@here.example",
        &["joe@there.example"],
    );
    let lines = here.wait_for_line(&format!("end msg {id}"));
    assert_eq!(
        story(&lines, id),
        [
            "new msg N",
            "info msg N: bytes 16 from <ann@here.example> qp 77 uid 1000",
            "starting delivery 1: msg N to remote joe@there.example",
            "status: local 0/10 remote 1/20",
            "delivery 1: success: 1.2.3.4_accepted_message./",
            "status: local 0/10 remote 0/20",
            "end msg N",
        ]
    );
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let sent = fs::read_to_string(here.root().join("sent")).unwrap();
    assert_eq!(
        sent,
        "Subject: hi\n\nhi\nto joe@there.example at there.example size 16\n"
    );
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    assert!(
        here.log().ends_with("status: qmail-send exiting\n"),
        "{}",
        here.log()
    );
}

#[test]
fn recipients_share_a_message_and_only_some_stay() {
    let mut here = installation();
    here.control("virtualdomains", "v.example:ann\n");
    here.start();
    let recipients = [
        "ok@here.example",
        "x-defer@v.example",
        "defer@there.example",
        "y@z.example",
    ];
    let id = here.queue("hi\n", "s@there.example", &recipients);
    here.wait_for("four ends", || {
        here.log().matches(": success: ").count() == 2
            && here.log().matches(": deferral: ").count() == 2
    });
    let read = |path| fs::read_to_string(path).unwrap();
    here.wait_for("marks", || {
        read(here.layout.local(id)) == "Dok@here.example\0Tann-x-defer@v.example\0"
    });
    assert_eq!(
        read(here.layout.remote(id)),
        "Tdefer@there.example\0Dy@z.example\0"
    );
    let delivered = read(here.root().join("delivered"));
    assert!(
        delivered.starts_with("blue ok for s@there.example by ./Maildir/ as "),
        "{delivered}"
    );
    // The next start finds when each channel is due.
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    let mtime = |path| fs::metadata(path).unwrap().mtime();
    let birth = mtime(here.layout.info(id));
    let is_next =
        |due: i64, skip: i64| (0..3).any(|late: i64| due == birth + (late.isqrt() + skip).pow(2));
    assert!(is_next(mtime(here.layout.local(id)), 10));
    assert!(is_next(mtime(here.layout.remote(id)), 20));
}

#[test]
fn alarm_tries_everything_now_and_a_crash_defers() {
    let mut here = installation();
    here.start();
    here.queue("hi\n", "s@there.example", &["crash@here.example"]);
    here.wait_for_line("delivery 1: deferral: qmail-local_crashed./");
    here.signal(Signal::SIGALRM);
    here.wait_for_line("delivery 2: deferral: qmail-local_crashed./");
}

#[test]
fn a_failure_bounces_to_its_sender() {
    let mut here = installation();
    here.start_writer();
    here.start();
    let id = here.queue(
        "Subject: q\n\nq\n",
        "ann@there.example",
        &["a-fail@here.example"],
    );
    let lines = here.wait_for_line("delivery 2: success: 1.2.3.4_accepted_message./");
    let failure = "delivery 1: failure: No_such_mailbox_here._(#5.1.1)/";
    assert!(lines.iter().any(|line| line == failure), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("bounce msg {id} qp ")))
    );
    assert!(lines.iter().any(|line| line.contains(" from <> qp ")));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let sent = fs::read_to_string(here.root().join("sent")).unwrap();
    for expected in [
        "From: MAILER-DAEMON@here.example\nTo: ann@there.example\n",
        "Auto-Submitted: auto-replied\n",
        "Subject: failure notice\n",
        "\n\nHi. This is the qmail-send program at here.example.\n",
        "\n<a-fail@here.example>:\nNo such mailbox here. (#5.1.1)\n\n---",
        "Final-Recipient: rfc822; a-fail@here.example\nAction: failed\nStatus: 5.1.1\n",
        "Return-Path: <ann@there.example>\nSubject: q\n\nq\n",
        "to ann@there.example at there.example",
    ] {
        assert!(sent.contains(expected), "no {expected:?} in {sent}");
    }
}

#[test]
fn a_bounce_that_bounces_reaches_the_postmaster_and_no_further() {
    let mut here = installation();
    here.control("doublebounceto", "p-fail\n");
    here.start_writer();
    here.start();
    here.queue("q\n", "x-fail@there.example", &["a-fail@here.example"]);
    here.wait_for("triple", || {
        here.log().contains("triple bounce: discarding bounce/")
    });
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let log = here.log();
    assert!(log.contains(" from <#@[]> qp "), "{log}");
    assert_eq!(log.matches("bounce msg ").count(), 2, "{log}");
}

#[test]
fn without_a_queue_writer_a_bounce_waits() {
    let mut here = installation();
    here.start();
    let id = here.queue("q\n", "ann@there.example", &["a-fail@here.example"]);
    here.wait_for("trouble", || {
        here.log().contains("trouble injecting bounce message")
    });
    let bounce = fs::read_to_string(here.layout.bounce(id)).unwrap();
    assert_eq!(
        bounce,
        "<a-fail@here.example>:\nNo such mailbox here. (#5.1.1)\n\n"
    );
    assert!(here.layout.info(id).exists() && here.layout.mess(id).exists());
}

#[test]
fn a_program_can_queue_bounces_instead() {
    let mut here = installation();
    let program = here.root().join("bin/bouncequeue");
    let script =
        "#!/bin/sh\ncat >\"$QMAILDIR/bounce.text\"\ncat <&1 >\"$QMAILDIR/bounce.envelope\"\n";
    write_script(&program, script);
    here.start_with("BOUNCEQUEUE", "bin/bouncequeue");
    let id = here.queue("q\n", "ann@there.example", &["a-fail@here.example"]);
    here.wait_for_line(&format!("end msg {id}"));
    let envelope = fs::read(here.root().join("bounce.envelope")).unwrap();
    assert_eq!(envelope, b"F\0Tann@there.example\0\0");
    assert!(
        fs::read_to_string(here.root().join("bounce.text"))
            .unwrap()
            .contains("\nq\n")
    );
}

#[test]
fn an_old_message_gets_a_last_try() {
    let mut here = installation();
    here.control("queuelifetime", "1000\n");
    let id = here.queue("q\n", "#@[]", &["defer@there.example"]);
    let todo = here.layout.todo(id);
    // A message that was preprocessed long ago.
    fs::remove_file(todo).unwrap();
    let old = SystemTime::now() - std::time::Duration::from_secs(2000);
    for (path, content) in [
        (here.layout.info(id), "F#@[]\0"),
        (here.layout.remote(id), "Tdefer@there.example\0"),
    ] {
        fs::write(&path, content).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        here.own(&path);
    }
    assert!(UNIX_EPOCH < old);
    here.start();
    let lines = here.wait_for_line(&format!("end msg {id}"));
    let failure = "delivery 1: failure: 1.2.3.4_busy/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long./";
    assert!(lines.iter().any(|line| line == failure), "{lines:?}");
}

#[test]
fn hold_stops_a_channel_and_hup_lets_it_go() {
    let mut here = installation();
    here.control("holdremote", "1\n");
    here.start();
    here.wait_for_line("status: local 0/10 remote 0/20 (held)");
    let id = here.queue("q\n", "ann@here.example", &["b@there.example"]);
    here.wait_for("new", || here.log().contains(&format!("info msg {id}")));
    here.control("holdremote", "0\n");
    here.control("concurrencyremote", "3\n");
    here.control("locals", "there.example\n");
    here.signal(Signal::SIGHUP);
    here.wait_for_line("remote deliveries resumed");
    here.wait_for_line(&format!("end msg {id}"));
    assert!(
        here.log().contains("status: local 0/10 remote 1/3\n"),
        "{}",
        here.log()
    );
    here.queue("q\n", "ann@here.example", &["c@there.example"]);
    here.wait_for("local", || here.log().contains("to local c@there.example"));
}

#[test]
fn nobody_and_no_recipients_end_without_a_delivery() {
    let mut here = installation();
    here.start();
    let id = here.queue("q\n", "ann@here.example", &[]);
    let lines = here.wait_for_line(&format!("end msg {id}"));
    assert_eq!(story(&lines, id).len(), 3);
    let id = here.queue("q\n", "ann@here.example", &["@here.example"]);
    here.wait_for_line(&format!("end msg {id}"));
    assert!(!here.root().join("delivered").exists());
}

#[test]
fn a_running_delivery_ends_before_term_does() {
    let mut here = installation();
    here.start();
    here.queue("q\n", "ann@here.example", &["slow@here.example"]);
    here.wait_for_line("status: local 1/10 remote 0/20");
    here.signal(Signal::SIGTERM);
    here.wait_for_line("status: local 1/10 remote 0/20 exitasap");
    assert_eq!(here.wait_for_exit(), Some(0));
    assert!(here.log().contains("delivery 1: success: did_1+0+0/"));
}

#[test]
fn many_messages_all_end_and_leave_nothing() {
    const MESSAGES: usize = 300;
    let mut here = installation();
    for n in 0..MESSAGES / 2 {
        here.queue("q\n", "ann@here.example", &[&format!("u{n}@there.example")]);
    }
    here.start();
    for n in 0..MESSAGES / 2 {
        here.queue("q\n", "ann@here.example", &[&format!("v{n}@here.example")]);
    }
    here.wait_for("all ends", || {
        here.log().matches("end msg ").count() == MESSAGES
    });
    here.wait_for("empty queue", || here.queue_files().is_empty());
    assert_eq!(here.log().matches(": success: ").count(), MESSAGES);
}

#[test]
fn every_event_of_a_message_has_its_trace() {
    let mut here = installation();
    let socket = here.root().join("run/trace/socket");
    std::fs::create_dir_all(here.root().join("run/trace")).unwrap();
    let collector = os::socket::listen_datagrams(&socket, 0o666).unwrap();
    here.own(&socket);
    here.start_writer();
    here.start();
    here.queue(
        "q\n",
        "ann@there.example",
        &["x-fail@here.example", "ok@here.example"],
    );
    here.wait_for("bounce", || here.log().contains("bounce msg "));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    collector.set_nonblocking(true).unwrap();
    let mut kinds = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut datagrams = Vec::new();
    while let Ok(length) = collector.recv(&mut buffer) {
        datagrams.push(buffer[..length].to_vec());
    }
    for line in datagrams.join(&b'\n').split(|&b| b == b'\n') {
        let event: wire::trace::Event = serde_json::from_slice(line).unwrap();
        if event.trace.to_string() == "0123456789abcdef" {
            assert_eq!(event.queue.as_deref(), Some("queue1"));
            assert!(event.kind != wire::trace::Kind::Bounced || event.other.is_some());
            kinds.push(format!("{:?}", event.kind));
        }
    }
    // Two deliveries run at once and end in any order.
    kinds[1..5].sort();
    let expected = "Preprocessed Delivered Failed Started Started Bounced Ended";
    assert_eq!(kinds.join(" "), expected);
}

#[test]
fn as_root_every_process_and_delivery_is_somebody_else() {
    let Some(mut here) = Installation::of_root(LOCAL, REMOTE) else {
        return;
    };
    here.start_writer();
    here.start();
    let recipients = ["ok@here.example", "x-fail@here.example"];
    here.queue("q\n", "ann@there.example", &recipients);
    here.wait_for("bounce", || here.log().contains("bounce msg "));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let read = |name| fs::read_to_string(here.root().join(name)).unwrap();
    let uid = |name| os::account::Account::by_name(name).unwrap().identity.uid;
    let expected = format!("by ./Maildir/ as {}\n", uid("alias"));
    assert!(
        read("delivered").contains(&expected),
        "{}",
        read("delivered")
    );
    assert_eq!(read("remote-user"), "qmailr\n");
    assert!(read("sent").contains("for bounce)"), "{}", read("sent"));
    assert!(
        here.log().contains(&format!(" uid {}\n", uid("qmails"))),
        "{}",
        here.log()
    );
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
}
