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
use super::answers::{Answer, Answers};
use super::read::Line;

/// How far the times of two logs may lie apart, in seconds: a line waits for
/// multilog, an event for the collector.
pub const LAG_SECONDS: f64 = 20.0;

/// Who answers 250, and says so when it has. Local programs say earlier that
/// they have a message.
const SMTP: &str = "qmail-smtpd";

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
    answers: Answers,
    /// When the logs that tell of messages begin.
    begin: Option<f64>,
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
        if !matches!(line, Line::Smtp(_)) {
            self.begin.get_or_insert(time);
        }
        match line {
            Line::Event(event) => self.event(&event),
            // What was told of messages before may be in logs that are gone.
            Line::Smtp(_) if !self.has_begun(time) => {}
            Line::Smtp(text) => self.answers.line(time, &text),
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
        self.answers.now(time);
    }

    fn has_begun(&self, time: f64) -> bool {
        self.begin.is_some_and(|begin| begin + LAG_SECONDS < time)
    }

    /// Settles what has ended and hands out the rest, with the balance so
    /// far, and the 250s no message is known for.
    pub fn finish(mut self) -> (Balance, Vec<Account>, Vec<Answer>) {
        while let Some((_, number)) = self.closing.pop_front() {
            self.close(number);
        }
        let mut left: Vec<Account> = self.accounts.into_values().collect();
        left.sort_by(|a, b| a.accepted.total_cmp(&b.accepted));
        (self.balance, left, self.answers.finish())
    }

    fn event(&mut self, event: &Event) {
        match event.kind {
            Kind::Received if event.program == SMTP && self.has_begun(event.time) => {
                let number = self.by_trace.get(&event.trace).copied();
                return self.answers.event(event, number);
            }
            // What was refused, or is another message, is not this one.
            Kind::Received | Kind::Refused | Kind::Forwarded => return,
            _ => {}
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
                if account.sender.is_none()
                    && let Some(sender) = &event.sender
                {
                    self.answers.message_of(event.time, sender, number);
                }
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
                if account.place.is_none() {
                    // It never was in a queue.
                    self.ended(number, event.time);
                }
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
        self.answers.message(event.trace);
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
            Fact::Info { sender, .. } if account.sender.is_none() => {
                account.sender = Some(sender.to_owned());
                self.answers.message_of(time, sender, number);
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
            Fact::Info { .. } | Fact::New { .. } | Fact::Ended { .. } => {}
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
            self.answers
                .settled(account.ended.unwrap_or(account.last), trace);
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
mod tests;
