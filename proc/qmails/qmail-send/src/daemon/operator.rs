//! Answers to tools, and what they want done.

use std::collections::BTreeSet;

use queue::HoldTarget;
use schedule::{Channel, Forgotten, Holds};
use wire::operator::{self, Answer, Lane, Question, Standing, WAITING_MAX};
use wire::trace::{Kind, TraceId};

use super::Daemon;
use crate::log::Log;
use crate::operators::Connection;

impl Daemon {
    /// Reads what is held; when that does not work what was held stays held.
    pub(super) fn read_holds(&mut self, now: i64, log: &mut Log) {
        let found = match queue::holds(&self.layout) {
            Ok(found) => queue::settle_holds(&self.layout, found),
            Err(error) => return log.alert(&format!("unable to read hold: {error}")),
        };
        let mut holds = Holds::default();
        for hold in found {
            match hold.target {
                HoldTarget::Local => holds.channels[Channel::Local.index()] = true,
                HoldTarget::Remote => holds.channels[Channel::Remote.index()] = true,
                HoldTarget::Message(id) => {
                    holds.messages.insert(id);
                }
                HoldTarget::Domain(domain) => {
                    holds.domains.insert(domain.into_bytes());
                }
            }
        }
        let before = Channel::ALL.map(|channel| self.scheduler.is_held(channel));
        self.scheduler.set_holds(holds, now);
        for channel in Channel::ALL {
            let held = self.scheduler.is_held(channel);
            if held != before[channel.index()] {
                let what = if held { "temporarily held" } else { "resumed" };
                log.line(|lines| lines.other(&format!("{channel} deliveries {what}")));
            }
        }
    }

    /// A message is gone: what gets its number is not held.
    pub(super) fn forget_hold(&self, id: u64) {
        if self.scheduler.holds().messages.contains(&id) {
            let _ = queue::release_hold(&self.layout, &HoldTarget::Message(id));
        }
    }

    pub(super) fn answer_operators(&mut self, log: &mut Log) {
        let mut connections = self.operators.take();
        for connection in &mut connections {
            while let Some(question) = connection.question() {
                self.answer(question, connection, log);
            }
        }
        self.operators.give_back(connections);
    }

    fn answer(&mut self, question: Question, connection: &mut Connection, log: &mut Log) {
        let now = os::clock::unix_seconds();
        // What is not loaded yet would seem not to be there.
        self.load(now, usize::MAX, log);
        let answer = match question {
            Question::Status => Answer::Status(self.lanes(now)),
            Question::Message(id) => Answer::Message(self.standing(id)),
            Question::Waiting => return self.waiting(connection),
            Question::Holds => {
                self.read_holds(now, log);
                self.status(log);
                Answer::Held
            }
            Question::Retry(ids) => {
                let returning = ids.iter().filter(|id| self.hurry_one(**id)).count();
                let ids: BTreeSet<u64> = ids.into_iter().collect();
                let found = self.scheduler.retry(&ids, now) + returning;
                Answer::Retried(found as u64)
            }
            Question::Delete(id) => self.delete(id, connection.uid, log),
        };
        connection.answer(&answer);
    }

    fn lanes(&self, now: i64) -> [Lane; 2] {
        Channel::ALL.map(|channel| {
            let (running, limit) = self.scheduler.load(channel);
            let due = self.scheduler.waiting(channel);
            Lane {
                is_held: self.scheduler.is_held(channel),
                running: u32::try_from(running).unwrap_or(u32::MAX),
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                waiting: self.scheduler.waiting(channel).count() as u64,
                due: due.filter(|(_, due)| *due <= now).count() as u64,
            }
        })
    }

    fn standing(&self, id: u64) -> Standing {
        let waiting = self.singles.get(&id).map(|single| &single.recipient);
        Standing {
            channels: Channel::ALL.map(|channel| self.scheduler.place(channel, id)),
            finishing: self.scheduler.finishing(id),
            single: waiting.cloned(),
        }
    }

    /// Bounded by the number of messages: sixteen bytes each, until the tool
    /// has read them.
    fn waiting(&self, connection: &mut Connection) {
        for channel in Channel::ALL {
            let is_remote = channel == Channel::Remote;
            let waiting = |(id, due)| operator::Waiting { id, is_remote, due };
            let all: Vec<_> = self.scheduler.waiting(channel).map(waiting).collect();
            for some in all.chunks(WAITING_MAX) {
                connection.answer(&Answer::Waiting(some.to_vec()));
            }
        }
        connection.answer(&Answer::Waiting(Vec::new()));
    }

    /// Takes a message out of the schedule, then out of the queue.
    fn delete(&mut self, id: u64, uid: u32, log: &mut Log) -> Answer {
        let is_bouncing = self.injections.iter().any(|injection| injection.id == id);
        if is_bouncing || self.outcomes.is_delivered(id) {
            return Answer::Busy;
        }
        match self.scheduler.forget(id) {
            Forgotten::Busy => return Answer::Busy,
            // It may be with qmail-todo.
            Forgotten::Unknown => return Answer::Unknown,
            Forgotten::Yes => self.bounces_waiting.retain(|other| *other != id),
        }
        let why = format!("deleted by uid {uid}");
        if let Some(single) = self.singles.remove(&id) {
            log.line(|lines| lines.other(&format!("discard msg {id}: {why}")));
            log.line(|lines| lines.end_message(id));
            let trace = TraceId::from_headers(&single.env_headers);
            self.forget_hold(id);
            self.discarded(id, trace, &why);
            self.events.tell(trace, id, Kind::Ended, |_| {});
            let command = self.outcomes.delivered(id);
            self.cleaner.ask(&mut self.pipes.clean, command);
            return Answer::Deleted;
        }
        match self.remove_files(id, &why, log) {
            Ok(()) => Answer::Deleted,
            Err(error) => {
                log.warning(&format!("trouble removing {id}: {error}"));
                // What is left of it goes on.
                let now = os::clock::unix_seconds();
                for channel in Channel::ALL {
                    if queue::has_recipients(&self.disk, &self.layout, channel, id).unwrap_or(true)
                    {
                        self.scheduler.unavailable(channel, id, now);
                    }
                }
                self.scheduler.finish_later(id, now);
                Answer::Failed(error.to_string())
            }
        }
    }

    fn remove_files(&mut self, id: u64, why: &str, log: &mut Log) -> std::io::Result<()> {
        let info = queue::Info::read(&self.layout.info(id));
        let trace = info
            .ok()
            .and_then(|i| TraceId::from_headers(&i.env_headers));
        log.line(|lines| lines.other(&format!("discard msg {id}: {why}")));
        self.discarded(id, trace, why);
        self.put_on_record(log);
        self.outcomes.forget(id)?;
        self.end(id, trace, log)
    }

    fn discarded(&mut self, id: u64, trace: Option<TraceId>, why: &str) {
        self.events.tell(trace, id, Kind::Discarded, |event| {
            event.text = Some(why.to_owned());
        });
    }
}
