//! What breaks is said, with its name and what to do; nothing is lost and
//! nobody panics.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Builder, Installation, SmallDisk, run, wait_for};

use crate::talk::Talk;

mod damage;
mod disks;
mod limits;
mod quickstart;
mod settings;

const SOON: Duration = Duration::from_secs(90);

/// A queue of a size that a test can fill.
const QUEUE_DISK: &str = "size=3m,nr_inodes=600,mode=755";

/// Sends a message as a stranger; the last reply.
fn send(server: &Installation, subject: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    let mut reply = String::new();
    for line in [
        "EHLO faults.example",
        "MAIL FROM:<bob@foreign.example>",
        "RCPT TO:<ann@example.org>",
        "DATA",
        &format!("Subject: {subject}\r\n\r\nhello\r\n."),
    ] {
        reply = talk.say(line);
        if !reply.starts_with(['2', '3']) {
            return reply;
        }
    }
    reply
}

/// The reply to one recipient.
fn recipient(server: &Installation, address: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO faults.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say(&format!("RCPT TO:<{address}>"))
}

#[track_caller]
fn accepted(reply: &str) {
    assert!(reply.starts_with("250"), "{reply}");
}

/// A temporary refusal with an enhanced code.
#[track_caller]
fn temporary(reply: &str) {
    assert!(
        reply.starts_with("451 4.") || reply.starts_with("452 4.") || reply.starts_with("421 4."),
        "{reply}"
    );
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            _ => 1,
        })
        .sum()
}

/// Waits until the queue holds no message and no piece of one.
#[track_caller]
fn wait_for_empty_queue(server: &Installation) {
    let queue = server.root().join("queue/queue1");
    let left = || -> usize {
        [
            "pid", "mess", "intd", "todo", "info", "local", "remote", "bounce",
        ]
        .iter()
        .map(|name| files_below(&queue.join(name)))
        .sum()
    };
    wait_for("an empty queue", SOON, || left() == 0);
}

/// Removes finished files that are kept to be written again.
fn no_spare_files(server: &Installation) {
    let spare = server.root().join("queue/queue1/spare");
    for entry in fs::read_dir(spare).into_iter().flatten().flatten() {
        fs::remove_file(entry.path()).expect("a spare file");
    }
}

/// `indimail check` finds something wrong with the subject and says this, and
/// how to mend it.
#[track_caller]
fn check_finds(server: &Installation, words: &[&str]) {
    let ran = server.indimail(&["check"]);
    let findings: Vec<&str> = ran.out.split_inclusive("mend: ").collect();
    let found = findings
        .iter()
        .any(|finding| words.iter().all(|word| finding.contains(word)));
    assert!(found && ran.code == 1, "{words:?} not in:\n{}", ran.out);
}

#[track_caller]
fn check_is_content(server: &Installation) {
    let mut ran = server.indimail(&["check"]);
    // Services may be starting still.
    for _ in 0..50 {
        if ran.code == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
        ran = server.indimail(&["check"]);
    }
    panic!("{}{}", ran.out, ran.err);
}

#[track_caller]
fn wait_for_status(server: &Installation, words: &[&str]) {
    let mut out = String::new();
    for _ in 0..100 {
        out = server.indimail(&["status"]).out;
        if out
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{words:?} not in:\n{out}");
}

/// Waits until a service that was told to stop has stopped.
#[track_caller]
fn wait_for_down(server: &Installation, service: &str) {
    let path = server.root().join("service").join(service);
    wait_for(service, SOON, || {
        run(server.tool("svstat").arg(&path), b"")
            .out
            .contains(": down ")
    });
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// No log has a word of a panic.
#[track_caller]
fn nobody_panicked(server: &Installation) {
    for entry in fs::read_dir(server.root().join("log")).unwrap().flatten() {
        let log = server.log(&entry.file_name().to_string_lossy());
        assert!(!log.contains("panicked"), "{:?}: {log}", entry.file_name());
    }
}
