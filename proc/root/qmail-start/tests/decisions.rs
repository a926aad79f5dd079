//! Where a message goes and when: routing, schedule, signals, and a log that
//! can be matched up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use os::signal::Signal;

use crate::deliveries::installation;
use crate::installation::Installation;

fn mtime(path: PathBuf) -> i64 {
    fs::metadata(path).unwrap().mtime()
}

/// A file as an earlier qmail-send left it.
fn leave(here: &Installation, path: &Path, content: &str, age: u64) {
    fs::write(path, content).unwrap();
    let time = SystemTime::now() - Duration::from_secs(age);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
    here.own(path);
}

/// A message of this age, with one recipient, that is due.
pub fn leave_message(here: &Installation, sender: &str, recipient: &str, age: u64) -> u64 {
    let id = here.queue("Subject: old\n\nq\n", sender, &[recipient]);
    fs::remove_file(here.layout.todo(id)).unwrap();
    leave(here, &here.layout.info(id), &format!("F{sender}\0"), age);
    let path = match recipient.ends_with("@here.example") {
        true => here.layout.local(id),
        false => here.layout.remote(id),
    };
    leave(here, &path, &format!("T{recipient}\0"), 0);
    id
}

/// Sends a message; what the log says until it ended. Numbers of messages are
/// given away again.
fn lines_of(here: &Installation, to: &str) -> Vec<String> {
    let before = here.log().lines().count();
    here.queue("q\n", "ann@here.example", &[to]);
    let lines = || -> Vec<String> { here.log().lines().skip(before).map(str::to_owned).collect() };
    here.wait_for("the end", || {
        lines().iter().any(|line| line.starts_with("end msg "))
    });
    lines()
}

#[test]
fn virtualdomains_and_locals_change_with_hup_and_not_before() {
    let mut here = installation();
    here.control("virtualdomains", "v.example:john\n.w.example:bob\n");
    here.start();
    let goes = |to: &str, line: &str| {
        let lines = lines_of(&here, to);
        assert!(
            lines
                .iter()
                .any(|said| said.ends_with(&format!(" to {line}"))),
            "{lines:?}"
        );
    };
    let idle = || here.log().matches("status: local 0/10 remote 0/20").count();
    goes("joe@v.example", "local john-joe@v.example");
    goes("x@a.w.example", "local bob-x@a.w.example");
    goes("x@w.example", "remote x@w.example");
    goes("x@new.example", "remote x@new.example");
    here.control(
        "virtualdomains",
        "v.example:john\njoe@v.example:\n:rest\nthere.example:\n",
    );
    here.control("locals", "here.example\nnew.example\n");
    here.control("percenthack", "here.example\nnew.example\n");
    goes("joe@v.example", "local john-joe@v.example");
    goes("y@new.example", "remote y@new.example");
    let before = idle();
    here.signal(Signal::SIGHUP);
    // The order to read again goes to qmail-todo first.
    here.wait_for("HUP", || before < idle());
    goes("joe@v.example", "remote joe@v.example");
    goes("jim@v.example", "local john-jim@v.example");
    goes("y@new.example", "local y@new.example");
    goes("y@other.example", "local rest-y@other.example");
    goes(
        "a%there.example%new.example@here.example",
        "remote a@there.example",
    );
}

/// Where each of these recipients goes, as the log says it.
#[track_caller]
fn all_go(here: &Installation, expected: &[(&str, &str)]) {
    for (to, line) in expected {
        let lines = lines_of(here, to);
        let end = format!(" to {line}");
        assert!(
            lines.iter().any(|said| said.ends_with(&end)),
            "{to}: {lines:?}"
        );
    }
}

#[test]
fn acceptance_16_a_suffix_begins_at_a_dot_and_an_empty_key_catches_the_rest() {
    let mut here = installation();
    here.control(
        "virtualdomains",
        ".v.example:bob\nf.example:alias-flintstone\nfree.example:\nuser@half.example:one\n:rest\n",
    );
    here.start();
    all_go(
        &here,
        &[
            ("x@a.v.example", "local bob-x@a.v.example"),
            ("x@b.a.V.example", "local bob-x@b.a.V.example"),
            // Not below it, so the empty key has it.
            ("x@v.example", "local rest-x@v.example"),
            ("x@anything.test", "local rest-x@anything.test"),
            ("User@half.example", "local one-User@half.example"),
            ("other@half.example", "local rest-other@half.example"),
            // Trap 19: a prepend may have dashes itself.
            (
                "pebbles@f.example",
                "local alias-flintstone-pebbles@f.example",
            ),
            // Exceptions end the search, and our own domains come first.
            ("x@free.example", "remote x@free.example"),
            ("ok@here.example", "local ok@here.example"),
        ],
    );
}

#[test]
fn acceptance_17_percenthack_takes_the_last_sign_again_and_again() {
    let mut here = installation();
    here.control("percenthack", "h.example\nc.example\n");
    here.control("locals", "here.example\nh.example\n");
    here.start();
    all_go(
        &here,
        &[
            ("a%b%c.example@h.example", "remote a@b"),
            ("a%here.example%c.example@h.example", "local a@here.example"),
            // What is not listed keeps its sign, which the log shows so.
            ("a%b@here.example", "local a_b@here.example"),
            ("a%b%d.example@h.example", "remote a_b@d.example"),
        ],
    );
}

#[test]
fn due_times_follow_the_age_of_a_message() {
    let mut here = installation();
    let cases = [
        ("defer@there.example", 401, 1_600),
        ("defer@there.example", 1_605, 3_600),
        ("defer@there.example", 3_605, 6_400),
        ("defer@here.example", 101, 400),
        ("defer@here.example", 405, 900),
    ];
    let ids = cases.map(|(to, age, _)| leave_message(&here, "ann@here.example", to, age));
    here.start();
    here.wait_for("deferrals", || {
        here.log().matches(": deferral: ").count() == cases.len()
    });
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    for (id, (to, age, due)) in ids.into_iter().zip(cases) {
        let path = match to.ends_with("@here.example") {
            true => here.layout.local(id),
            false => here.layout.remote(id),
        };
        assert_eq!(mtime(path) - mtime(here.layout.info(id)), due, "{to} {age}");
    }
}

#[test]
fn a_message_that_is_too_old_bounces_and_says_so() {
    let mut here = installation();
    here.control("queuelifetime", "1000\n");
    let young = leave_message(&here, "ann@there.example", "y-defer@there.example", 900);
    let old = leave_message(&here, "ann@there.example", "o-defer@there.example", 1_100);
    here.start_writer();
    here.start();
    here.wait_for_line(&format!("end msg {old}"));
    let sent = || fs::read_to_string(here.root().join("sent")).unwrap_or_default();
    here.wait_for("the bounce", || sent().contains("to ann@there.example at"));
    let text = "<o-defer@there.example>:\n1.2.3.4 busy\nI'm not going to try again; \
                this message has been in the queue too long.\n\n";
    assert!(sent().contains(text), "{}", sent());
    assert!(!sent().contains("y-defer"), "{}", sent());
    assert!(here.layout.remote(young).exists());
}

#[test]
fn term_starts_nothing_more_and_leaves_due_times_behind() {
    let mut here = installation();
    here.start();
    let waiting = here.queue("q\n", "ann@here.example", &["defer@there.example"]);
    here.wait_for_line("deferral: 1.2.3.4_busy/");
    // One that is running, and is deferred after TERM.
    let running = here.queue("q\n", "ann@here.example", &["slow-defer@here.example"]);
    here.wait_for_line("status: local 1/10 remote 0/20");
    here.signal(Signal::SIGTERM);
    here.wait_for_line("status: local 1/10 remote 0/20 exitasap");
    let late = here.queue("q\n", "ann@here.example", &["late@here.example"]);
    assert_eq!(here.wait_for_exit(), Some(0));
    let log = here.log();
    assert!(!log.contains(&format!("msg {late} to local")), "{log}");
    let end = "status: qmail-todo stop processing asap\nstatus: qmail-todo exiting\n\
               status: qmail-send exiting\n";
    assert!(log.ends_with(end), "{log}");
    for (id, path, skip) in [
        (waiting, here.layout.remote(waiting), 20_i64),
        (running, here.layout.local(running), 10),
    ] {
        let (birth, due) = (mtime(here.layout.info(id)), mtime(path));
        let is_next = (0..3).any(|late: i64| due == birth + (late.isqrt() + skip).pow(2));
        assert!(is_next, "{id}: birth {birth}, due {due}");
    }
    here.start();
    here.wait_for_line(&format!("end msg {late}"));
}

#[test]
fn usr1_keeps_new_messages_until_usr2() {
    let mut here = installation();
    here.start();
    here.wait_for_line("status: local 0/10 remote 0/20");
    here.signal(Signal::SIGUSR1);
    here.wait_for_line("status: qmail-todo detached");
    let id = here.queue("q\n", "ann@here.example", &["ok@here.example"]);
    // It is preprocessed, and waits.
    here.wait_for("info", || here.log().contains(&format!("info msg {id}")));
    here.wait_for("preprocessing", || !here.layout.todo(id).exists());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!here.log().contains("starting delivery"), "{}", here.log());
    here.signal(Signal::SIGUSR2);
    here.wait_for_line(&format!("end msg {id}"));
}

/// What a log analyser makes of the log: every delivery with its message and
/// its end.
fn match_up(log: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let mut deliveries: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [
                "starting",
                "delivery",
                id,
                "msg",
                message,
                "to",
                channel,
                address,
                queue,
            ] => {
                let id = id.strip_suffix(':').expect("a colon").to_owned();
                assert!(["local", "remote"].contains(&channel) && address.contains('@'));
                let message = format!("{message} {queue}");
                let before = deliveries.insert(id, (message, Vec::new()));
                assert_eq!(before, None, "two deliveries of one number: {line}");
            }
            ["delivery", id, end, _text, _queue] => {
                let id = id.strip_suffix(':').expect("a colon");
                assert!(
                    ["success:", "deferral:", "failure:"].contains(&end),
                    "{line}"
                );
                let (_, ends) = deliveries.get_mut(id).expect("it was started");
                ends.push(end.to_owned());
            }
            ["status:", "local", local, "remote", remote, _queue] => {
                assert!(local.contains('/') && remote.contains('/'), "{line}");
            }
            ["new", "msg", id, _queue] | ["end", "msg", id, _queue] => {
                assert!(id.parse::<u64>().is_ok(), "{line}");
            }
            [
                "info",
                "msg",
                id,
                "bytes",
                bytes,
                "from",
                from,
                "qp",
                qp,
                "uid",
                uid,
                _queue,
            ] => {
                let numbers = [id.trim_end_matches(':'), bytes, qp, uid];
                assert!(numbers.iter().all(|n| n.parse::<u64>().is_ok()), "{line}");
                assert!(from.starts_with('<') && from.ends_with('>'), "{line}");
            }
            _ => assert!(line.starts_with("qmail-daemon: "), "unknown line {line}"),
        }
    }
    deliveries
}

#[test]
fn the_log_of_several_queues_can_be_matched_up() {
    const MESSAGES: usize = 20;
    let mut here = installation();
    let second = here.start_two_queues();
    let mut ids = BTreeSet::new();
    for n in 0..MESSAGES {
        let to = ["ok@here.example", "b@there.example", "defer@there.example"][n % 3];
        let (layout, name) = match n % 2 {
            0 => (&here.layout, "queue1"),
            _ => (&second, "queue2"),
        };
        let id = here.queue_in(layout, "q\n", "ann@here.example", &[to, "c@there.example"]);
        ids.insert(format!("{id} {name}"));
    }
    here.wait_for("all ends", || {
        let log = here.log();
        [": success: ", ": deferral: "]
            .map(|end| log.matches(end).count())
            .iter()
            .sum::<usize>()
            == 2 * MESSAGES
    });
    let deliveries = match_up(&here.log());
    assert_eq!(deliveries.len(), 2 * MESSAGES);
    let messages: BTreeSet<String> = deliveries.values().map(|(id, _)| id.clone()).collect();
    assert_eq!(messages, ids);
    assert!(deliveries.values().all(|(_, ends)| ends.len() == 1));
}

#[test]
fn todointerval_keeps_scans_apart() {
    let mut here = installation();
    here.control("todointerval", "2\n");
    here.start();
    lines_of(&here, "ok@here.example");
    let start = std::time::Instant::now();
    for n in 0..3 {
        lines_of(&here, &format!("u{n}@here.example"));
    }
    // The clock of the scans counts whole seconds.
    let waited = start.elapsed();
    assert!(Duration::from_secs(3) <= waited, "only {waited:?}");
}

#[test]
fn a_domain_gets_no_more_than_its_rate() {
    let mut here = installation();
    let rates = here.layout.root().join("ratelimit");
    fs::create_dir(&rates).unwrap();
    fs::write(rates.join("slow.example"), "1/3600\n").unwrap();
    here.own(&rates);
    here.own(&rates.join("slow.example"));
    here.start();
    lines_of(&here, "one@slow.example");
    let id = here.queue("q\n", "ann@here.example", &["two@slow.example"]);
    here.wait_for_line("delayed jobs=1");
    lines_of(&here, "three@fast.example");
    let log = here.log();
    assert!(!log.contains("to remote two@slow.example"), "{log}");
    assert!(log.contains("to remote three@fast.example"), "{log}");
    let kept = fs::read_to_string(rates.join("slow.example")).unwrap();
    assert!(kept.starts_with("1/3600\n1\n"), "{kept}");
    // Without the limit it goes, when everything is tried.
    fs::remove_file(rates.join("slow.example")).unwrap();
    here.signal(Signal::SIGHUP);
    here.signal(Signal::SIGALRM);
    here.wait_for("the end", || here.log().contains(&format!("end msg {id}")));
}
