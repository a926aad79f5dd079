//! A deep queue: what it costs in memory, and that nothing waits for it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use os::signal::Signal;

use crate::installation::Installation;

/// Messages for a destination that is dead.
const DEEP: u64 = 100_000;
/// New messages beside them.
const NEW: usize = 100;
/// What a message in the queue may cost qmail-send.
const BYTES_A_MESSAGE: u64 = 200;

const LOCAL: &str = "exit 0";
const REMOTE: &str = r#"case "$5" in
  *dead*) exec sleep 20;;
  *) printf 'r\0K1.2.3.4 accepted message.\n\0';;
esac"#;

/// Fills the queue as an earlier qmail-send left it, due then.
fn fill(here: &Installation, messages: u64, due: SystemTime) {
    let text = here.layout.root().join("mess/text");
    fs::write(&text, "Subject: hi\n\nhi\n").unwrap();
    here.own(&text);
    // Numbers that no file system gives away soon.
    for id in (1 << 40)..(1 << 40) + messages {
        let write = |path: PathBuf, content: &str, time| {
            fs::write(&path, content).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
            here.own(&path);
        };
        write(
            here.layout.info(id),
            "Fann@here.example\0",
            SystemTime::now(),
        );
        write(here.layout.remote(id), "Tbob@dead.example\0", due);
        fs::hard_link(&text, here.layout.mess(id)).unwrap();
    }
}

/// Seconds until new messages, local and remote, have come and gone.
fn deliver_new(here: &Installation) -> f64 {
    let before = here.log().matches("end msg ").count();
    let start = Instant::now();
    for n in 0..NEW {
        let to = match n % 2 {
            0 => format!("u{n}@here.example"),
            _ => format!("u{n}@there.example"),
        };
        here.queue("q\n", "ann@here.example", &[&to]);
    }
    here.wait_for("new messages", || {
        here.log().matches("end msg ").count() == before + NEW
    });
    start.elapsed().as_secs_f64()
}

/// `VmRSS` or `VmHWM` of qmail-send, in bytes.
fn memory(here: &Installation, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", here.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

#[test]
fn a_deep_queue_costs_little_memory_and_mail_beside_it_is_delivered() {
    let mut here = Installation::new(LOCAL, REMOTE);
    here.put_queue_into_memory();
    here.start();
    let alone = deliver_new(&here);
    let empty = memory(&here, "VmRSS");
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));

    fill(&here, DEEP, SystemTime::now() + Duration::from_secs(7200));
    let id = here.queue("q\n", "ann@here.example", &["first@here.example"]);
    let start = Instant::now();
    here.start();
    here.wait_for_line(&format!("end msg {id}"));
    let first = start.elapsed();
    let beside = deliver_new(&here);
    let peak = memory(&here, "VmHWM");
    let bytes = peak.saturating_sub(empty) / DEEP;
    println!(
        "first delivery after {first:?}; {NEW} new messages in {alone:.2} s alone, \
         {beside:.2} s beside {DEEP}; {bytes} bytes a message"
    );
    assert!(bytes <= BYTES_A_MESSAGE, "{bytes} bytes a message");
    assert!(
        beside < 2.0 * alone + 10.0,
        "{beside:.2} s instead of {alone:.2} s"
    );
    // What was loaded is due when its file says, and that is remembered.
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    assert!(!here.log().contains("bob@dead.example"));
}

#[test]
fn new_mail_does_not_wait_behind_a_backlog_for_a_dead_host() {
    let mut here = Installation::new(LOCAL, REMOTE);
    here.put_queue_into_memory();
    here.start();
    let alone = deliver_new(&here);
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));

    fill(&here, DEEP / 10, SystemTime::now());
    here.start();
    // A quarter of the slots stays free of retries.
    here.wait_for_line("status: local 0/10 remote 15/20");
    let beside = deliver_new(&here);
    println!("{NEW} new messages in {alone:.2} s alone, {beside:.2} s beside a dead host");
    assert!(
        beside < 4.0 * alone + 1.0,
        "{beside:.2} s instead of {alone:.2} s"
    );
    assert!(!here.log().contains("remote 21/20"));
    here.kill_all();
}
