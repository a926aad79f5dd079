//! As qmail-send does it.

use std::io::{self, BufReader, Read};

use queue::{Closed, FileSystem, Info, Left, Mark, OwnedRecord, RecordReader};
use schedule::{Channel, Finding, JobEnd, JobId, LIFETIME_DEFAULT_SECONDS, Step, Verdict};
use wire::clean::Command;

use super::{BOUNCE_END, Engine, Running};
use crate::model::ModelInput;

/// A message on a channel while its job lasts.
pub(super) struct OpenMessage {
    pub info: Info,
    recipients: Recipients,
    is_single: bool,
}

enum Recipients {
    File(RecordReader<BufReader<ModelInput>>),
    One(Option<Vec<u8>>),
}

impl Recipients {
    fn next(&mut self) -> io::Result<Option<OwnedRecord>> {
        match self {
            Self::File(reader) => reader.next_recipient(),
            Self::One(one) => Ok(one.take().map(|data| OwnedRecord {
                kind: b'T',
                data,
                offset: 0,
            })),
        }
    }
}

impl Engine {
    pub(super) fn steps(&mut self) {
        let now = self.model.now();
        while let Some(step) = self.scheduler.step(now) {
            match step {
                Step::Open { channel, id } => self.open_message(channel, id),
                Step::Next { channel, job } => self.next_recipient(channel, job),
                Step::Close {
                    job,
                    channel,
                    id,
                    end,
                } => {
                    self.open.remove(&job);
                    self.closed.push((channel, id, end));
                }
                Step::Finish { id } => self.finish(id),
            }
        }
    }

    fn open_message(&mut self, channel: Channel, id: u64) {
        let now = self.model.now();
        if self.outcomes.is_through(channel, id) {
            return self.close_channel(channel, id);
        }
        match self.opened(channel, id) {
            Ok(Some(message)) => {
                let birth = message.info.birth;
                let job = self
                    .scheduler
                    .opened(channel, id, birth, LIFETIME_DEFAULT_SECONDS, now);
                if message.is_single {
                    self.scheduler.is_single(job);
                }
                self.open.insert(job, message);
            }
            Ok(None) => self.close_channel(channel, id),
            Err(_) => self.scheduler.unavailable(channel, id, now),
        }
    }

    fn opened(&mut self, channel: Channel, id: u64) -> io::Result<Option<OpenMessage>> {
        if let Some(single) = self.singles.remove(&id) {
            return Ok(Some(OpenMessage {
                info: Info {
                    sender: single.sender,
                    birth: single.birth,
                    ..Info::default()
                },
                recipients: Recipients::One(Some(single.recipient)),
                is_single: true,
            }));
        }
        let path = queue::recipients(&self.layout, channel, id);
        let recipients = match RecordReader::open_on(&self.model, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        Ok(Some(OpenMessage {
            info: Info::read_on(&self.model, &self.layout.info(id))?,
            recipients: Recipients::File(recipients),
            is_single: false,
        }))
    }

    fn next_recipient(&mut self, channel: Channel, job: JobId) {
        let open = self.open.get_mut(&job);
        match open.map_or(Ok(None), |open| open.recipients.next()) {
            Ok(Some(record)) => {
                let sender = self.open[&job].info.sender.clone();
                let recipient = record.data;
                let started = self.scheduler.start(job, recipient.clone(), record.offset);
                self.running.push_back(Running {
                    channel,
                    slot: started.slot,
                    id: started.id,
                    sender,
                    recipient,
                });
            }
            Ok(None) => self.scheduler.exhausted(job),
            Err(_) => self.scheduler.broken(job),
        }
    }

    /// Lets what runs end.
    pub(super) fn deliver_all(&mut self) {
        while let Some(delivery) = self.running.pop_front() {
            let verdict = self.attempt(delivery.id, &delivery.sender, &delivery.recipient);
            self.report(delivery.channel, delivery.slot, verdict);
        }
    }

    /// As `Daemon::found`, without the words.
    fn report(&mut self, channel: Channel, slot: u16, verdict: Verdict) {
        let reported = self
            .scheduler
            .report(channel, slot, verdict)
            .expect("a delivery runs there");
        let (delivery, id) = (&reported.delivery, reported.delivery.id);
        let paragraph = match reported.finding {
            Finding::Deferred { .. } => return,
            Finding::Failed { .. } => Some(schedule::paragraph(&delivery.recipient, b"no\n")),
            Finding::Delivered => None,
        };
        let open = self.open.get(&delivery.job);
        let has_mark = !reported.ends_channel && !open.is_some_and(|open| open.is_single);
        let mark = has_mark.then_some(Mark {
            channel,
            id,
            offset: delivery.offset,
        });
        let settled = self.outcomes.settle(id, paragraph.as_deref(), mark);
        if settled.is_err() {
            self.scheduler.leave_some(delivery.job);
        }
    }

    /// What comes when the outcomes are on record.
    pub(super) fn act_on_the_record(&mut self) {
        // What cannot be marked is delivered again.
        let _ = self.outcomes.mark();
        for (channel, id, end) in std::mem::take(&mut self.closed) {
            match end {
                JobEnd::Done => self.close_channel(channel, id),
                JobEnd::Requeued { .. } => {}
                JobEnd::Delivered => {
                    let command = self.outcomes.delivered(id);
                    self.remove_envelope(id, command);
                }
                JobEnd::PutBack { due, is_done } => self.put_back(id, due, is_done),
            }
        }
    }

    fn close_channel(&mut self, channel: Channel, id: u64) {
        let now = self.model.now();
        match self.outcomes.close(channel, id) {
            Ok(Closed::Half) => {}
            Ok(Closed::Whole) => self.scheduler.finish(id, now),
            Ok(Closed::Unknown(_)) => self.scheduler.finish_later(id, now),
            Err(_) => self.scheduler.unavailable(channel, id, now),
        }
    }

    /// qmail-clean's answer comes at once.
    fn remove_envelope(&mut self, id: u64, command: Command) {
        let is_done = self.clean(command);
        match self.outcomes.envelope_removed(id, is_done) {
            Some(command) => {
                self.told.remove(&id);
                self.clean(command);
            }
            None => self.scheduler.finish_later(id, self.model.now()),
        }
    }

    fn finish(&mut self, id: u64) {
        if self.try_finish(id).is_err() {
            self.scheduler.finish_later(id, self.model.now());
        }
    }

    fn try_finish(&mut self, id: u64) -> io::Result<()> {
        match self.outcomes.left(id)? {
            Left::Nothing => return Ok(()),
            Left::Envelope(command) => {
                self.remove_envelope(id, command);
                return Ok(());
            }
            Left::End(_) => {}
            Left::Bounce(info) => {
                self.bounce(id, &info)?;
                self.outcomes.bounced(id)?;
            }
        }
        let command = self.outcomes.end(id)?;
        self.clean(command);
        Ok(())
    }

    fn bounce(&self, id: u64, info: &Info) -> io::Result<()> {
        let to = match &info.sender[..] {
            b"" => "postmaster@h".to_owned(),
            b"#@[]" => return Ok(()),
            sender => String::from_utf8_lossy(sender).into_owned(),
        };
        let sender: &[u8] = match info.sender.is_empty() {
            true => b"#@[]",
            false => b"",
        };
        let mut text = b"bounce:\n".to_vec();
        for path in [self.layout.bounce(id), self.layout.mess(id)] {
            self.model.open(&path)?.read_to_end(&mut text)?;
        }
        // What a crash left instead of a paragraph.
        text.retain(|&byte| byte != 0);
        text.extend_from_slice(BOUNCE_END);
        self.inject(sender, &[&to], &text).map_err(io::Error::other)
    }
}
