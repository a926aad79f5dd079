//! The 250s: what somebody was told is ours must have come to a queue.
//!
//! qmail-smtpd says so twice: in an event with the trace of the message, and
//! in a line of its log, which knows the client, the sender and the size.
//! Where an event is lost, its line takes its place; where the message has no
//! event with that trace either, it is looked for by sender and time among
//! the messages that nobody asked for yet. So each message answers for one
//! 250 only.

use queue::Stored;
use wire::trace::{Event, TraceId};

use super::Difference;
use super::account::Account;
use super::book::{LAG_SECONDS, Number};
use super::timed::Timed;

/// How long after its 250 a message may be heard of first, when the queue
/// writer's event is lost.
const WAIT_SECONDS: f64 = 300.0;
/// Lines of one session about one message are that close together.
const LINES_SECONDS: f64 = 2.0;

/// Somebody was told that we have a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its trace, when an event tells of it.
    pub trace: Option<TraceId>,
    /// When.
    pub time: f64,
    /// Who was told: an address, or a local user.
    pub place: String,
    /// The envelope sender, in the form of [`plain`].
    pub sender: String,
    /// Bytes of the text.
    bytes: u64,
}

/// What a line and an event tell both: the client and the size.
type Told = (String, u64);

/// All answers that no message is known for.
#[derive(Debug, Default)]
pub struct Answers {
    /// Those of events.
    of_events: Timed<TraceId, Answer>,
    /// Those of lines.
    of_lines: Timed<Told, Answer>,
    /// Events whose line has not come.
    without_line: Timed<Told, ()>,
    /// What lines said a moment ago, so that each message counts once.
    said: Timed<(String, String, u64), ()>,
    /// Messages nobody asked for yet, by sender.
    messages: Timed<String, Number>,
    /// Messages that are settled and may still be asked for.
    settled: Timed<TraceId, ()>,
    /// For these no message came in time.
    missing: Vec<Answer>,
}

impl Answers {
    /// An event says that a message was taken; `number` is its account, if it
    /// has one.
    pub fn event(&mut self, event: &Event, number: Option<Number>) {
        let answer = Answer {
            trace: Some(event.trace),
            time: event.time,
            place: event.place.clone().unwrap_or_default(),
            sender: plain(event.sender.as_deref().unwrap_or_default()),
            bytes: event.bytes.unwrap_or(0),
        };
        let told = (answer.place.clone(), answer.bytes);
        if self.of_lines.take(&told, |_, _| true).is_none() {
            self.without_line.push(event.time, told, ());
        }
        if let Some(number) = number {
            self.messages
                .take(&answer.sender, |_, known| *known == number);
        } else if !self.settled.contains(&event.trace) {
            self.of_events.push(event.time, event.trace, answer);
        }
    }

    /// A line of qmail-smtpd's log; only those of messages that were taken
    /// count.
    pub fn line(&mut self, time: f64, text: &str) {
        let Some((session, answer)) = parse(time, text) else {
            return;
        };
        let said = (session.to_owned(), answer.sender.clone(), answer.bytes);
        // There is a line for each recipient.
        if self.said.contains(&said) {
            return;
        }
        self.said.push(time, said, ());
        let told = (answer.place.clone(), answer.bytes);
        if self.without_line.take(&told, |_, ()| true).is_none() {
            self.of_lines.push(time, told, answer);
        }
    }

    /// A message got its account.
    pub fn message(&mut self, trace: TraceId) {
        if self.of_events.take(&trace, |_, _| true).is_none() {
            self.missing.retain(|answer| answer.trace != Some(trace));
        }
    }

    /// The sender of a message is known.
    pub fn message_of(&mut self, time: f64, sender: &str, number: Number) {
        self.messages.push(time, plain(sender), number);
    }

    /// A message will not be heard of again.
    pub fn settled(&mut self, time: f64, trace: TraceId) {
        self.settled.push(time, trace, ());
    }

    /// The logs have come to this time.
    pub fn now(&mut self, now: f64) {
        let mut late = self.of_events.expire(now - WAIT_SECONDS);
        late.extend(self.of_lines.expire(now - WAIT_SECONDS));
        late.into_iter().for_each(|answer| self.judge(answer));
        self.without_line.expire(now - LAG_SECONDS);
        self.said.expire(now - LINES_SECONDS);
        self.settled.expire(now - WAIT_SECONDS);
        self.messages.expire(now - 2.0 * WAIT_SECONDS);
    }

    /// Gives an answer the message of its sender that was heard of first, if
    /// there was one at that time.
    fn judge(&mut self, answer: Answer) {
        let times = answer.time - LAG_SECONDS..=answer.time + WAIT_SECONDS;
        let adopted = self
            .messages
            .take(&answer.sender, |time, _| times.contains(&time));
        if adopted.is_none() {
            self.missing.push(answer);
        }
    }

    /// The answers no message is known for, when the logs are at their end.
    pub fn finish(mut self) -> Vec<Answer> {
        let mut open = self.of_events.drain();
        open.extend(self.of_lines.drain());
        open.sort_by(|a, b| a.time.total_cmp(&b.time));
        open.into_iter().for_each(|answer| self.judge(answer));
        self.missing
    }
}

impl Answer {
    /// Says whether a message in the queue is the one.
    pub fn is_of(&self, stored: &Stored) -> bool {
        match (self.trace, stored.trace) {
            (Some(one), Some(other)) => one == other,
            _ => {
                let sender = String::from_utf8_lossy(&stored.sender);
                let born = (stored.birth as f64 - self.time).abs();
                plain(&sender) == self.sender && born < LAG_SECONDS
            }
        }
    }

    /// The worst there is to tell.
    pub fn difference(&self) -> Difference {
        let problem = format!(
            "LOST: {} was told that we have it, and no queue ever had it",
            self.place
        );
        Difference {
            trace: self.trace.map(String::from),
            accepted: self.time as i64,
            sender: Some(self.sender.clone()),
            ..Account::default().difference(problem)
        }
    }
}

/// A sender as every log can tell it: what one of them may have replaced is
/// the same in all.
fn plain(sender: &str) -> String {
    let one = |c: char| match c {
        '!'..='~' if !matches!(c, '?' | '%' | '\\') => c,
        _ => '_',
    };
    sender.chars().map(one).collect()
}

/// `qmail-smtpd: pid 7 from 192.0.2.1 HELO <h> MAIL from <s> RCPT <r> … Size: n …`
fn parse(time: f64, text: &str) -> Option<(&str, Answer)> {
    let rest = text.strip_prefix("qmail-smtpd: pid ")?;
    let (session, rest) = rest.split_once(" from ")?;
    let (place, rest) = rest.split_once(" HELO <")?;
    // Refusals say why before HELO.
    if place.contains(' ') {
        return None;
    }
    let (_, rest) = rest.split_once("> MAIL from <")?;
    let (sender, rest) = rest.split_once("> RCPT <")?;
    let (_, size) = rest.rsplit_once("> Size: ")?;
    let answer = Answer {
        trace: None,
        time,
        place: place.to_owned(),
        sender: plain(sender),
        bytes: size.split(' ').next()?.parse().ok()?,
    };
    Some((session, answer))
}

#[cfg(test)]
mod tests;
