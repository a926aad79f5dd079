//! What the scheduler wants done: messages opened, recipients started,
//! channels closed.

use std::io::ErrorKind;

use queue::Closed;
use schedule::{Channel, JobEnd, JobId, Step};
use wire::spawn;
use wire::trace::{Kind, TraceId};

use super::{Daemon, STEPS_PER_TURN};
use crate::events;
use crate::files::{self, OpenMessage};
use crate::log::Log;

/// A job that is over.
#[derive(Debug)]
pub(super) struct EndedJob {
    channel: Channel,
    id: u64,
    trace: Option<TraceId>,
    end: JobEnd,
}

impl Daemon {
    pub(super) fn steps(&mut self, now: i64, log: &mut Log) {
        for _ in 0..STEPS_PER_TURN {
            for channel in Channel::ALL {
                let congested =
                    self.notices.is_full() || self.pipes.spawn[channel.index()].is_congested();
                self.scheduler.set_congested(channel, congested);
            }
            match self.scheduler.step(now) {
                None => return,
                Some(Step::Open { channel, id }) => self.open_message(channel, id, now, log),
                Some(Step::Next { channel, job }) => self.next_recipient(channel, job, now, log),
                Some(Step::Close {
                    job,
                    channel,
                    id,
                    end,
                }) => {
                    let mut open = self.open.remove(&job);
                    if let Some(open) = &mut open {
                        self.tell_all(channel, id, open, log);
                    }
                    self.closed.push(EndedJob {
                        channel,
                        id,
                        trace: open.and_then(|open| open.trace),
                        end,
                    });
                }
                Some(Step::Finish { id }) => self.finish(id, now, log),
            }
        }
    }

    /// Does what cannot be undone, now that both logs have what it follows
    /// from: a process that is killed at any moment leaves no delivery that
    /// nobody knows of.
    pub(super) fn act_on_the_record(&mut self, now: i64, log: &mut Log) {
        for (mark, error) in self.outcomes.mark() {
            let path = files::name(&self.layout, mark.channel, mark.id);
            log.warning(&format!(
                "trouble marking {path}; message will be delivered twice! {error}"
            ));
        }
        for closed in std::mem::take(&mut self.closed) {
            let EndedJob {
                channel, id, trace, ..
            } = closed;
            match closed.end {
                JobEnd::Done => self.close_channel(channel, id, now, log),
                JobEnd::Requeued { .. } => {}
                JobEnd::Delivered => self.single_delivered(id, trace, log),
                JobEnd::PutBack { due, is_done } => self.put_back(id, due, is_done),
            }
        }
    }

    pub(super) fn open_message(&mut self, channel: Channel, id: u64, now: i64, log: &mut Log) {
        if self.outcomes.is_through(channel, id) {
            return self.close_channel(channel, id, now, log);
        }
        let opened = match self.open_single(id) {
            Some(message) => Ok(Some(message)),
            None => {
                let delayed_since = now - self.controls.delay_seconds;
                OpenMessage::open(&self.layout, channel, id, delayed_since)
            }
        };
        match opened {
            Ok(Some(message)) => {
                let lifetime = self.controls.lifetime_of(&message.info.sender);
                let birth = message.info.birth;
                let job = self.scheduler.opened(channel, id, birth, lifetime, now);
                if message.is_single {
                    self.scheduler.is_single(job);
                }
                self.open.insert(job, message);
            }
            // Somebody removed the file, or a crash came after that.
            Ok(None) => self.close_channel(channel, id, now, log),
            Err(error) => {
                let path = files::name(&self.layout, channel, id);
                let text = format!("trouble opening {path}; will try again later: {error}");
                log.warning(&text);
                self.scheduler.unavailable(channel, id, now);
            }
        }
    }

    pub(super) fn next_recipient(&mut self, channel: Channel, job: JobId, now: i64, log: &mut Log) {
        if self.scheduler.holds_job(job) {
            // It was put on hold while its pass was under way.
            return self.scheduler.broken(job);
        }
        let mut open = self.open.get_mut(&job);
        match open
            .as_mut()
            .map_or(Ok(None), |open| open.recipients.next())
        {
            Ok(Some(record)) if self.scheduler.holds().recipient(&record.data) => {
                self.scheduler.skip(job);
            }
            Ok(Some(record)) => {
                let id = open.map_or(0, |open| open.id);
                let (until, trouble) = self.rates.ask(id, &record.data, now);
                if let Some(text) = trouble {
                    log.warning(&format!("trouble with a rate: {text}"));
                }
                match until {
                    Some(until) if self.scheduler.postpone(job, until) => self.status(log),
                    Some(_) => {}
                    None => self.start(channel, job, record, log),
                }
            }
            Ok(None) => self.scheduler.exhausted(job),
            Err(error) => {
                let path = open.map(|open| files::name(&self.layout, channel, open.id));
                let path = path.unwrap_or_default();
                log.warning(&match error.kind() {
                    ErrorKind::InvalidData => format!("unknown record type in {path}! {error}"),
                    _ => format!("trouble reading {path}; will try again later: {error}"),
                });
                self.scheduler.broken(job);
            }
        }
    }

    pub(super) fn start(
        &mut self,
        channel: Channel,
        job: JobId,
        record: queue::OwnedRecord,
        log: &mut Log,
    ) {
        let Some(open) = self.open.get(&job) else {
            return;
        };
        let recipient = record.data;
        let started = self.scheduler.start(job, recipient.clone(), record.offset);
        // The subscriber is known by the address outside.
        let outside = || self.controls.virtual_domains.without_prepend(&recipient);
        let mut wire = Vec::new();
        spawn::append_command(
            &mut wire,
            &spawn::Command {
                slot: started.slot,
                message: self.layout.mess_relative(started.id).into_bytes(),
                sender: address::verp_expand(&open.info.sender, outside),
                extra_headers: open.info.extra_headers.clone(),
                env_headers: open.env_headers(&recipient),
                recipient: recipient.clone(),
            },
        );
        log.line(|lines| lines.starting(started.number, started.id, channel, &recipient));
        self.status(log);
        self.events
            .tell(open.trace, started.id, Kind::Started, |event| {
                events::about(event, channel, &recipient);
            });
        self.pipes.spawn[channel.index()].send(&wire);
    }

    /// No recipient of a message is left on a channel.
    pub(super) fn close_channel(&mut self, channel: Channel, id: u64, now: i64, log: &mut Log) {
        match self.outcomes.close(channel, id) {
            Ok(Closed::Half) => {}
            Ok(Closed::Whole) => self.scheduler.finish(id, now),
            Ok(Closed::Unknown(error)) => {
                log.warning(&format!(
                    "unable to stat files of {id}; will try again later: {error}"
                ));
                self.scheduler.finish_later(id, now);
            }
            Err(error) => {
                let path = queue::recipients(&self.layout, channel, id);
                let path = path.display();
                log.warning(&format!(
                    "unable to unlink {path}; will try again later: {error}"
                ));
                self.scheduler.unavailable(channel, id, now);
            }
        }
    }
}
