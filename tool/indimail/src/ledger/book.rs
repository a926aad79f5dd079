//! The accounts: one for each message that is not settled.
//!
//! The trace log knows a message by its trace, qmail-send's log by its number
//! in the queue, which another message gets later. An account belongs to one
//! message; the two logs meet in it when the message of a `new msg` line was
//! queued with that number and not logged before.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use schedule::{Channel, Fact, LogLine, Verdict};
use wire::trace::{Event, Kind, TraceId};

use super::Balance;
use super::account::{Account, Place, Source};
use super::read::Line;

/// How far the times of two logs may lie apart, in seconds: a line waits for
/// multilog, an event for the collector.
const LAG_SECONDS: f64 = 20.0;

/// Identifies an account.
pub type Number = u64;
/// All accounts.
#[derive(Debug, Default)]
pub struct Book {
    /// The only queue: lines of its log do not name it.
    only_queue: Option<String>,
    accounts: HashMap<Number, Account>,
    next: Number,
    by_trace: HashMap<TraceId, Number>,
    /// The message that was queued last with a number.
    by_event: HashMap<Place, Number>,
    /// The message that qmail-send logged last with a number.
    by_log: HashMap<Place, Number>,
    /// Deliveries that run: their message, channel and recipient.
    deliveries: HashMap<(usize, String), (Number, Channel, u64)>,
    closing: VecDeque<(f64, Number)>,
    balance: Balance,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Book {
    /// Empty; `only_queue` is the name of the queue when there is only one.
    pub fn new(only_queue: Option<String>) -> Self {
        Self {
            only_queue,
            ..Self::default()
        }
    }

    /// Enters a line.
    pub fn enter(&mut self, time: f64, line: Line) {
        self.balance.since.get_or_insert(time as i64);
        match line {
            Line::Event(event) => self.event(&event),
            Line::Send { log, text } => {
                if let Some(line) = LogLine::parse(&text) {
                    let queue = line.queue.map(str::to_owned);
                    let queue = queue
                        .or_else(|| self.only_queue.clone())
                        .unwrap_or_default();
                    self.fact(time, log, queue, line.fact);
                }
            }
        }
        while self
            .closing
            .front()
            .is_some_and(|(ended, _)| ended + LAG_SECONDS < time)
        {
            if let Some((_, number)) = self.closing.pop_front() {
                self.close(number);
            }
        }
    }

    /// Settles what has ended and hands out the rest, with the balance so
    /// far.
    pub fn finish(mut self) -> (Balance, Vec<Account>) {
        while let Some((_, number)) = self.closing.pop_front() {
            self.close(number);
        }
        let mut left: Vec<Account> = self.accounts.into_values().collect();
        left.sort_by(|a, b| a.accepted.total_cmp(&b.accepted));
        (self.balance, left)
    }

    fn event(&mut self, event: &Event) {
        // What was refused or not yet queued is not accepted.
        if matches!(event.kind, Kind::Received | Kind::Refused | Kind::Forwarded) {
            return;
        }
        let place = event.queue.clone().zip(event.message);
        let number = self.of_trace(event, place.clone());
        if let (Kind::Queued, Some(place)) = (event.kind, place) {
            self.by_event.insert(place, number);
        }
        let Some(account) = self.accounts.get_mut(&number) else {
            return;
        };
        account.last = account.last.max(event.time);
        match event.kind {
            Kind::Queued => {
                account.accepted = account.accepted.min(event.time);
                account.sender.clone_from(&event.sender);
                let names: HashSet<&String> = event.recipients.iter().collect();
                account.expected = Some(event.total.unwrap_or(names.len() as u64));
            }
            Kind::Delivered | Kind::Failed => {
                let channel = match event.channel.as_deref() {
                    Some("remote") => Channel::Remote,
                    _ => Channel::Local,
                };
                for recipient in &event.recipients {
                    account.outcome(Source::Trace, channel, hash(recipient));
                }
                account.has_failed |= event.kind == Kind::Failed;
            }
            Kind::Bounced => account.has_bounced = true,
            Kind::Discarded => {
                let rule = event.text.clone().unwrap_or_default();
                account.discarded.get_or_insert(rule);
            }
            Kind::Ended => self.ended(number, event.time),
            _ => {}
        }
    }

    fn of_trace(&mut self, event: &Event, place: Option<Place>) -> Number {
        if let Some(number) = self.by_trace.get(&event.trace) {
            return *number;
        }
        // qmail-send's log may have been faster.
        let logged = place.as_ref().and_then(|place| self.by_log.get(place));
        let adopted = logged.copied().filter(|number| {
            self.accounts.get(number).is_some_and(|account| {
                account.trace.is_none() && (account.accepted - event.time).abs() < LAG_SECONDS
            })
        });
        let number = adopted.unwrap_or_else(|| self.open(event.time, place));
        if let Some(account) = self.accounts.get_mut(&number) {
            account.trace = Some(event.trace);
        }
        self.by_trace.insert(event.trace, number);
        number
    }

    fn open(&mut self, time: f64, place: Option<Place>) -> Number {
        self.balance.accepted += 1;
        self.next += 1;
        let account = Account {
            place,
            accepted: time,
            last: time,
            ..Account::default()
        };
        self.accounts.insert(self.next, account);
        self.next
    }

    fn fact(&mut self, time: f64, log: usize, queue: String, fact: Fact<'_>) {
        let number = match &fact {
            Fact::New { id } => {
                self.new_message(time, (queue, *id));
                return;
            }
            Fact::Ended { delivery, verdict } => {
                let running = self.deliveries.remove(&(log, (*delivery).to_owned()));
                let Some((number, channel, recipient)) = running else {
                    return;
                };
                if let Some(account) = self.accounts.get_mut(&number) {
                    account.last = account.last.max(time);
                    if let Verdict::Success | Verdict::Failure = verdict {
                        account.outcome(Source::Send, channel, recipient);
                        account.has_failed |= *verdict == Verdict::Failure;
                    }
                }
                return;
            }
            Fact::Info { id, .. }
            | Fact::Starting { id, .. }
            | Fact::Bounce { id }
            | Fact::Discarded { id, .. }
            | Fact::End { id } => self.logged(time, (queue, *id)),
        };
        let Some(account) = self.accounts.get_mut(&number) else {
            return;
        };
        account.last = account.last.max(time);
        match fact {
            Fact::Info { sender, .. } => {
                account.sender.get_or_insert_with(|| sender.to_owned());
            }
            Fact::Starting {
                delivery,
                channel,
                recipient,
                ..
            } => {
                let delivery = (log, delivery.to_owned());
                self.deliveries
                    .insert(delivery, (number, channel, hash(recipient)));
            }
            Fact::Bounce { .. } => account.has_bounced = true,
            Fact::Discarded { rule, .. } => {
                account.discarded.get_or_insert_with(|| rule.to_owned());
            }
            Fact::End { .. } => self.ended(number, time),
            Fact::New { .. } | Fact::Ended { .. } => {}
        }
    }

    /// `new msg`: of a message that was queued, or again of one that a
    /// restart found in `todo`.
    fn new_message(&mut self, time: f64, place: Place) {
        let is_open = |account: &&Account| account.ended.is_none();
        if let Some(number) = self.by_log.get(&place)
            && self.accounts.get(number).filter(is_open).is_some()
            && self
                .by_event
                .get(&place)
                .is_none_or(|queued| queued == number)
        {
            return;
        }
        let queued = self.by_event.get(&place).copied();
        let queued = queued.filter(|number| {
            self.accounts
                .get(number)
                .is_some_and(|account| !account.is_logged)
        });
        let number = queued.unwrap_or_else(|| self.open(time, Some(place.clone())));
        if let Some(account) = self.accounts.get_mut(&number) {
            account.is_logged = true;
        }
        self.by_log.insert(place, number);
    }

    /// The message of a line; one that was new before the log begins.
    fn logged(&mut self, time: f64, place: Place) -> Number {
        if let Some(number) = self.by_log.get(&place)
            && self.accounts.contains_key(number)
        {
            return *number;
        }
        self.new_message(time, place.clone());
        self.by_log.get(&place).copied().unwrap_or_default()
    }

    fn ended(&mut self, number: Number, time: f64) {
        if let Some(account) = self.accounts.get_mut(&number)
            && account.ended.is_none()
        {
            account.ended = Some(time);
            self.closing.push_back((time, number));
        }
    }

    /// Nothing more will be said of a message that ended.
    fn close(&mut self, number: Number) {
        let Some(account) = self.accounts.remove(&number) else {
            return;
        };
        if let Some(trace) = account.trace {
            self.by_trace.remove(&trace);
        }
        if let Some(place) = &account.place {
            for index in [&mut self.by_event, &mut self.by_log] {
                if index.get(place) == Some(&number) {
                    index.remove(place);
                }
            }
        }
        account.settle(&mut self.balance);
    }
}

#[cfg(test)]
mod tests {
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
        book.finish()
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
}
