//! Events in words.

use std::collections::BTreeMap;

use tai::Civil;
use wire::trace::{Event, Kind, TraceId};

/// Most bytes of a reason that are shown.
const TEXT_BYTES_MAX: usize = 1000;

/// What is known of one message.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which message.
    pub trace: TraceId,
    /// Its events, in the order they came.
    pub events: Vec<Event>,
    /// How many recipients the queue has for it.
    recipients: usize,
    /// Deliveries by channel and recipient: their number, and how it stands.
    deliveries: BTreeMap<(String, String), (usize, Delivery)>,
    ended: bool,
    refused: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Delivery {
    Running,
    Done,
    Deferred,
    Failed,
}

/// How a message stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Something is still being done.
    Running,
    /// Everybody has it.
    Delivered,
    /// Everything was tried; something will be tried again later.
    Deferred,
    /// Somebody will never have it.
    Failed,
}

impl Story {
    /// A message of which nothing is known yet.
    pub fn new(trace: TraceId) -> Self {
        Self {
            trace,
            events: Vec::new(),
            recipients: 0,
            deliveries: BTreeMap::new(),
            ended: false,
            refused: false,
        }
    }

    /// Adds an event of this message and says it in words, without its time.
    pub fn push(&mut self, event: Event) -> String {
        let line = self.learn(&event);
        self.events.push(event);
        line
    }

    /// How the message stands after the events so far.
    pub fn verdict(&self) -> Verdict {
        let any = |state| self.deliveries.values().any(|(_, s)| *s == state);
        let complete = self.recipients <= self.deliveries.len() && !self.deliveries.is_empty();
        if self.refused {
            return Verdict::Failed;
        }
        if !self.ended && (any(Delivery::Running) || !complete) {
            return Verdict::Running;
        }
        if any(Delivery::Failed) {
            Verdict::Failed
        } else if any(Delivery::Deferred) && !self.ended {
            Verdict::Deferred
        } else {
            Verdict::Delivered
        }
    }

    /// Ids of messages this one led to: forwards and bounces.
    pub fn others(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.events.iter().filter_map(|event| event.other)
    }

    /// The whole story, a line for each event, with times in UTC.
    pub fn lines(&self) -> Vec<String> {
        let mut again = Self::new(self.trace);
        self.events
            .iter()
            .map(|event| format!("{} {}", clock(event.time), again.push(event.clone())))
            .collect()
    }

    fn learn(&mut self, event: &Event) -> String {
        let reason = event.text.as_deref().unwrap_or_default();
        let reason = text::log::printable(reason.trim_end().as_bytes(), TEXT_BYTES_MAX);
        let because = |reason: &str| match reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        match event.kind {
            Kind::Received => {
                let place = event.place.as_deref().unwrap_or("somewhere");
                format!(
                    "{} received it from {place}, sender {}, for {}",
                    event.program,
                    sender(event),
                    everybody(event)
                )
            }
            Kind::Refused => {
                self.refused = self.recipients == 0;
                format!(
                    "{} refused {}{}",
                    event.program,
                    everybody(event),
                    because(&reason)
                )
            }
            Kind::Queued => {
                self.recipients = event.recipients.len();
                self.refused = false;
                let number = event.message.map_or("?".to_owned(), |n| n.to_string());
                let queue = event.queue.as_deref().unwrap_or("the queue");
                let bytes = event
                    .bytes
                    .map_or(String::new(), |n| format!(", {n} bytes"));
                format!("queued as {number} in {queue}{bytes}")
            }
            Kind::Preprocessed => "preprocessed".to_owned(),
            Kind::Started => self.delivery(event, Delivery::Running, "started", ""),
            Kind::Delivered => self.delivery(event, Delivery::Done, "delivered", &reason),
            Kind::Deferred => {
                let when = event
                    .next
                    .map_or("later".to_owned(), |next| clock(next as f64));
                let what = format!("deferred until {when}");
                self.delivery(event, Delivery::Deferred, &what, &reason)
            }
            Kind::Failed => self.delivery(event, Delivery::Failed, "failed", &reason),
            Kind::Discarded => format!("discarded{}", because(&reason)),
            Kind::Bounced => format!("bounce sent{}{}", to_other(event), because(&reason)),
            Kind::Forwarded => {
                format!("forwarded to {}{}", everybody(event), to_other(event))
            }
            Kind::Ended => {
                self.ended = true;
                "done, the message left the queue".to_owned()
            }
        }
    }

    fn delivery(&mut self, event: &Event, state: Delivery, what: &str, reason: &str) -> String {
        let channel = event.channel.clone().unwrap_or_default();
        let who = everybody(event);
        let next = self.deliveries.len() + 1;
        let (number, old) = self
            .deliveries
            .entry((channel.clone(), who.clone()))
            .or_insert((next, state));
        *old = state;
        let channel = match channel.as_str() {
            "" => String::new(),
            channel => format!("{channel} "),
        };
        let reason = match reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("delivery {number} to {channel}{who}: {what}{reason}")
    }
}

/// Puts events together by message, in the order the messages began.
pub fn stories(events: Vec<Event>) -> Vec<Story> {
    let mut found: Vec<Story> = Vec::new();
    let mut places: BTreeMap<TraceId, usize> = BTreeMap::new();
    for event in events {
        let place = *places.entry(event.trace).or_insert_with(|| {
            found.push(Story::new(event.trace));
            found.len() - 1
        });
        found[place].push(event);
    }
    found
}

fn sender(event: &Event) -> String {
    let sender = event.sender.as_deref().unwrap_or_default();
    format!(
        "<{}>",
        text::log::printable(sender.as_bytes(), TEXT_BYTES_MAX)
    )
}

fn everybody(event: &Event) -> String {
    match event.recipients.as_slice() {
        [] => "nobody".to_owned(),
        list => text::log::printable(list.join(", ").as_bytes(), TEXT_BYTES_MAX),
    }
}

fn to_other(event: &Event) -> String {
    event.other.map_or(String::new(), |id| format!(" as {id}"))
}

/// `2026-03-01 12:34:56.789`, in UTC.
fn clock(time: f64) -> String {
    let c = Civil::from_unix(time.floor() as i64);
    let thousandths = ((time - time.floor()) * 1000.0) as u32;
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{thousandths:03}",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Filter, Follower, read_events};
    use super::*;
    use crate::Home;

    fn event(trace: TraceId, kind: Kind) -> Event {
        let mut event = Event::new(trace, 1000.5, "qmail-send", 7, kind);
        event.recipients = vec!["ann@b.c".to_owned()];
        event.channel = Some("local".to_owned());
        event
    }

    fn line(event: &Event) -> String {
        let json = serde_json::to_string(event).unwrap();
        format!("@4000000038c3eeb027f41c7c {json}\n")
    }

    #[test]
    fn a_delivery_is_told_to_its_end() {
        let id = TraceId::new(1, 1);
        let mut story = Story::new(id);
        let mut queued = event(id, Kind::Queued);
        (queued.message, queued.queue) = (Some(42), Some("queue1".to_owned()));
        assert_eq!(story.push(queued), "queued as 42 in queue1");
        assert_eq!(story.verdict(), Verdict::Running);
        story.push(event(id, Kind::Started));
        assert_eq!(story.verdict(), Verdict::Running);
        let mut deferred = event(id, Kind::Deferred);
        (deferred.next, deferred.text) = (Some(2000), Some("disk full\x1b[31m\n".to_owned()));
        assert_eq!(
            story.push(deferred),
            "delivery 1 to local ann@b.c: deferred until 1970-01-01 00:33:20.000: disk full?[31m"
        );
        assert_eq!(story.verdict(), Verdict::Deferred);
        story.push(event(id, Kind::Delivered));
        story.push(event(id, Kind::Ended));
        assert_eq!(story.verdict(), Verdict::Delivered);
        assert!(story.lines()[2].starts_with("1970-01-01 00:16:40.500 delivery 1"));
    }

    #[test]
    fn the_log_is_read_over_its_files_and_while_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log/trace");
        std::fs::create_dir_all(&log).unwrap();
        let home = Home::at(directory.path());
        let (one, two) = (TraceId::new(1, 1), TraceId::new(2, 2));
        let old = log.join("@4000000038c3eeb027f41c7c.s");
        std::fs::write(&old, line(&event(one, Kind::Queued)) + "rubbish {\n").unwrap();
        let current = log.join("current");
        std::fs::write(&current, line(&event(two, Kind::Queued))).unwrap();
        let all = read_events(&home, &Filter::default()).unwrap();
        assert_eq!(stories(all).len(), 2);
        let mut follower = Follower::start(&home, Filter::of(one)).unwrap();
        assert!(follower.poll().unwrap().is_empty());
        let text = line(&event(one, Kind::Started));
        let (head, tail) = text.split_at(40);
        let mut file = std::fs::File::options()
            .append(true)
            .open(&current)
            .unwrap();
        file.write_all(head.as_bytes()).unwrap();
        assert!(follower.poll().unwrap().is_empty(), "half a line");
        file.write_all(tail.as_bytes()).unwrap();
        std::fs::rename(&current, log.join("@4000000038c3eeb127f41c7c.s")).unwrap();
        std::fs::write(&current, line(&event(one, Kind::Ended))).unwrap();
        let kinds: Vec<Kind> = follower.poll().unwrap().iter().map(|e| e.kind).collect();
        assert_eq!(kinds, [Kind::Started, Kind::Ended]);
    }
}
