//! 250s with and without a message, whatever a killed process did not log.

use wire::trace::Kind;

use super::super::book::Book;
use super::super::read::Line;
use super::*;

const CLIENT: &str = "192.0.2.1";

fn trace(n: u64) -> TraceId {
    TraceId::new(1, n)
}

fn event(n: u64, time: f64, kind: Kind, sender: &str) -> (f64, Line) {
    let mut event = Event::new(trace(n), time, "qmail-smtpd", 1, kind);
    event.queue = Some("queue1".to_owned());
    event.message = Some(n);
    event.sender = Some(sender.to_owned());
    event.place = Some(CLIENT.to_owned());
    event.bytes = Some(100 + n);
    event.recipients = vec!["a@b".to_owned()];
    (time, Line::Event(Box::new(event)))
}

fn smtp(n: u64, time: f64, sender: &str, recipient: &str) -> (f64, Line) {
    let size = 100 + n;
    let text = format!(
        "qmail-smtpd: pid {n} from {CLIENT} HELO <h> MAIL from <{sender}> RCPT <{recipient}> \
         AUTH <local-rcpt> Size: {size} TLS=No"
    );
    (time, Line::Smtp(text))
}

fn send(time: f64, text: &str) -> (f64, Line) {
    let text = text.to_owned();
    (time, Line::Send { log: 0, text })
}

/// Traces and senders of the 250s without a message. The logs begin long
/// before.
fn lost(mut lines: Vec<(f64, Line)>) -> Vec<(Option<TraceId>, String)> {
    let mut book = Book::new(Some("queue1".to_owned()));
    lines.push(send(0.0, "status: local 0/10 remote 0/20"));
    lines.push(send(9000.0, "status: local 0/10 remote 0/20"));
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (time, line) in lines {
        book.enter(time, line);
    }
    let lost = book.finish().2;
    lost.into_iter().map(|a| (a.trace, a.sender)).collect()
}

fn life(n: u64, time: f64) -> Vec<(f64, Line)> {
    vec![
        event(n, time, Kind::Queued, "s@t"),
        event(n, time + 0.1, Kind::Received, "s@t"),
        smtp(n, time + 0.1, "s@t", "a@b"),
        send(time + 0.2, &format!("new msg {n}")),
        send(
            time + 0.2,
            &format!("info msg {n}: bytes 1 from <s@t> qp 1 uid 1"),
        ),
        event(n, time + 0.3, Kind::Delivered, "s@t"),
        send(time + 0.4, &format!("end msg {n}")),
        event(n, time + 0.4, Kind::Ended, "s@t"),
    ]
}

#[test]
fn a_message_answers_for_its_250_whatever_the_logs_lost() {
    for kept in 0u32..1 << 8 {
        let is_kept = |at: usize| kept & (1 << at) != 0;
        let lines = life(7, 100.0).into_iter().enumerate();
        let lines: Vec<_> = lines.filter(|(at, _)| is_kept(*at)).collect();
        let [is_told, is_said] = [1, 2].map(is_kept);
        let has_trace = [0, 5, 7].into_iter().any(is_kept);
        let has_sender = [0, 4].into_iter().any(is_kept);
        // An event finds its message by trace or sender, a line by sender.
        let is_found = match (is_told, is_said) {
            (true, _) => has_trace || has_sender,
            (false, true) => has_sender,
            (false, false) => true,
        };
        let lost = lost(lines.into_iter().map(|(_, line)| line).collect());
        assert_eq!(lost.is_empty(), is_found, "{kept:#010b}: {lost:?}");
    }
}

#[test]
fn a_250_without_a_message_is_the_worst_there_is() {
    let told = || event(7, 100.0, Kind::Received, "s@t");
    let said = || smtp(7, 100.0, "s@t", "a@b");
    for lines in [vec![told()], vec![said()], vec![told(), said()]] {
        let with_trace = lines.len() == 2 || matches!(lines[0].1, Line::Event(_));
        let expected = (with_trace.then(|| trace(7)), "s@t".to_owned());
        assert_eq!(lost(lines), [expected]);
    }
    let mut book = Book::new(None);
    for (time, line) in [send(0.0, "x"), told(), send(900.0, "x")] {
        book.enter(time, line);
    }
    let difference = book.finish().2[0].difference();
    assert!(difference.problem.starts_with("LOST: 192.0.2.1"));
    assert_eq!(difference.trace, Some(trace(7).to_string()));
}

#[test]
fn each_message_answers_for_one_250() {
    // Two were told, and one arrived without events.
    let mut lines = vec![
        send(100.2, "new msg 7"),
        send(100.2, "info msg 7: bytes 1 from <s@t> qp 1 uid 1"),
    ];
    for n in [7, 8] {
        lines.push(smtp(n, 100.0 + n as f64 / 100.0, "s@t", "a@b"));
        // A line for each recipient is one message.
        lines.push(smtp(n, 100.0 + n as f64 / 100.0, "s@t", "c@d"));
    }
    assert_eq!(lost(lines).len(), 1);
}

#[test]
fn what_was_thrown_away_by_a_rule_was_not_lost() {
    let mut thrown = event(7, 100.1, Kind::Discarded, "s@t");
    if let Line::Event(event) = &mut thrown.1 {
        (event.queue, event.message) = (None, None);
        event.text = Some("NULLQUEUE".to_owned());
    }
    let mut book = Book::new(None);
    for (time, line) in [
        send(0.0, "x"),
        event(7, 100.0, Kind::Received, "s@t"),
        thrown,
        send(900.0, "x"),
    ] {
        book.enter(time, line);
    }
    let (balance, left, lost) = book.finish();
    assert_eq!((balance.accepted, balance.discarded), (1, 1));
    assert!(left.is_empty() && lost.is_empty());
    assert_eq!(balance.rules["NULLQUEUE"], 1);
}

#[test]
fn refusals_and_what_is_older_than_the_logs_do_not_count() {
    let refused = "qmail-smtpd: pid 7 from 192.0.2.1 qq read error (temporary): HELO <h> MAIL \
                   from <s@t> RCPT <a@b> AUTH <x> Size: 5 TLS=No qp 0 code 54: x";
    let mut lines = vec![
        (100.0, Line::Smtp(refused.to_owned())),
        smtp(7, 1.0, "s@t", "a@b"),
        event(8, 2.0, Kind::Received, "s@t"),
    ];
    lines.push((101.0, Line::Smtp("qmail-smtpd: pid 7 from x".to_owned())));
    assert_eq!(lost(lines), []);
}

#[test]
fn odd_senders_are_the_same_in_every_log() {
    for sender in ["a%b@c", "a b@c", "\u{e9}@c", "a/b@c"] {
        let event = text::log::printable(sender.as_bytes(), 1000);
        let line = text::log::safe(sender.as_bytes());
        assert_eq!(plain(&event), plain(&line), "{sender}");
    }
}
