//! Lines of both logs, in whatever order they come.

use super::*;

fn trace(n: u64) -> TraceId {
    TraceId::new(1, n)
}

fn event(n: u64, time: f64, kind: Kind, recipients: &[&str]) -> Line {
    let mut event = Event::new(trace(n), time, "test", 1, kind);
    event.queue = Some("queue1".to_owned());
    event.message = Some(7);
    event.channel = Some("local".to_owned());
    event.recipients = recipients.iter().map(|&r| r.to_owned()).collect();
    Line::Event(Box::new(event))
}

fn send(text: &str) -> Line {
    let text = text.to_owned();
    Line::Send { log: 0, text }
}

fn read(lines: Vec<(f64, Line)>) -> (Balance, Vec<Account>) {
    let mut book = Book::new(Some("queue1".to_owned()));
    lines
        .into_iter()
        .for_each(|(time, line)| book.enter(time, line));
    let (balance, left, lost) = book.finish();
    assert_eq!(lost, []);
    (balance, left)
}

fn sums(balance: &Balance) -> [u64; 5] {
    let differences = balance.differences.len() as u64;
    let Balance {
        accepted,
        delivered,
        bounced,
        discarded,
        ..
    } = *balance;
    [accepted, delivered, bounced, discarded, differences]
}

#[test]
fn either_log_alone_tells_of_a_delivery() {
    let events = || {
        vec![
            (1.0, event(1, 1.0, Kind::Queued, &["a@b"])),
            (2.0, event(1, 2.0, Kind::Delivered, &["a@b"])),
            (3.0, event(1, 3.0, Kind::Ended, &[])),
        ]
    };
    let lines = || {
        vec![
            (1.5, send("new msg 7")),
            (1.5, send("starting delivery 1: msg 7 to local a@b")),
            (2.5, send("delivery 1: success: ok")),
            (3.5, send("end msg 7")),
        ]
    };
    let mut both: Vec<(f64, Line)> = events();
    both.extend(lines());
    both.sort_by(|a, b| a.0.total_cmp(&b.0));
    for lines in [events(), lines(), both] {
        let (balance, left) = read(lines);
        assert_eq!(sums(&balance), [1, 1, 0, 0, 0]);
        assert!(left.is_empty());
    }
}

#[test]
fn the_collector_may_be_slower_than_the_log() {
    let (balance, left) = read(vec![
        (1.0, send("new msg 7")),
        (1.1, event(1, 1.1, Kind::Ended, &[])),
        (1.2, event(1, 1.2, Kind::Delivered, &["a@b"])),
        (1.2, send("end msg 7")),
        (1.3, event(1, 1.3, Kind::Queued, &["a@b"])),
    ]);
    assert_eq!(sums(&balance), [1, 1, 0, 0, 0], "{balance:?}");
    assert!(left.is_empty());
}

#[test]
fn a_number_that_is_given_again_is_another_message() {
    let mut lines = Vec::new();
    for n in 0..50u64 {
        let time = n as f64 / 10.0;
        lines.push((time, event(n, time, Kind::Queued, &["a@b"])));
        lines.push((time, send("new msg 7")));
        let start = format!("starting delivery {n}: msg 7 to local a@b");
        lines.push((time, send(&start)));
        // One source each loses every third.
        if n % 3 != 0 {
            lines.push((time, event(n, time, Kind::Delivered, &["a@b"])));
            lines.push((time, event(n, time, Kind::Ended, &[])));
        }
        if n % 3 != 1 {
            lines.push((time, send(&format!("delivery {n}: success: ok"))));
            lines.push((time, send("end msg 7")));
        }
    }
    let (balance, left) = read(lines);
    assert_eq!(sums(&balance), [50, 50, 0, 0, 0]);
    assert!(left.is_empty());
}

#[test]
fn what_does_not_fit_is_named() {
    let (balance, left) = read(vec![
        (1.0, event(1, 1.0, Kind::Queued, &["a@b", "c@d"])),
        (2.0, event(1, 2.0, Kind::Delivered, &["a@b"])),
        (3.0, event(1, 3.0, Kind::Ended, &[])),
        (3.0, event(2, 3.0, Kind::Queued, &["a@b"])),
        (4.0, event(2, 4.0, Kind::Failed, &["a@b"])),
        (4.0, event(2, 4.0, Kind::Ended, &[])),
        (5.0, event(3, 5.0, Kind::Queued, &["a@b"])),
    ]);
    assert_eq!(sums(&balance), [3, 0, 0, 0, 2]);
    assert!(balance.differences[0].problem.contains("2 recipients 1"));
    assert_eq!(balance.differences[1].trace, Some(trace(2).to_string()));
    assert_eq!(left.len(), 1);
}

#[test]
fn bounces_and_rules_settle_a_failure() {
    let (balance, left) = read(vec![
        (1.0, send("new msg 7")),
        (1.0, send("starting delivery 1: msg 7 to remote a@b")),
        (1.0, send("delivery 1: failure: no")),
        (1.0, send("bounce msg 7 qp 5")),
        (1.0, send("end msg 7")),
        (2.0, send("new msg 8")),
        (2.0, send("starting delivery 2: msg 8 to remote a@b")),
        (2.0, send("delivery 2: failure: no")),
        (2.0, send("triple bounce: discarding bounce/8")),
        (2.0, send("end msg 8")),
    ]);
    assert_eq!(sums(&balance), [2, 0, 1, 1, 0]);
    assert_eq!(balance.rules["triple bounce"], 1);
    assert!(left.is_empty());
}

#[test]
fn what_is_settled_is_not_kept() {
    let mut book = Book::new(None);
    for n in 0..10_000u64 {
        let time = n as f64;
        book.enter(time, event(n, time, Kind::Queued, &["a@b"]));
        book.enter(time, event(n, time, Kind::Delivered, &["a@b"]));
        book.enter(time, event(n, time, Kind::Ended, &[]));
    }
    assert!(book.accounts.len() < 50 && book.by_trace.len() < 50);
    assert_eq!(book.finish().0.delivered, 10_000);
}
