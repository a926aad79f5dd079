//! The end of a message: its bounce, if it needs one, and its removal.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use queue::Remainder;
use schedule::{Bounce, Notice, Report};
use wire::trace::{Kind, TraceId};

use super::{Daemon, INJECTIONS_MAX};
use crate::bounce;
use crate::injection::{Injection, Progress, TEXT_BYTES_MAX};
use crate::log::Log;

impl Daemon {
    pub(super) fn finish(&mut self, id: u64, now: i64, log: &mut Log) {
        if self.finishes_delivered(id) {
            return;
        }
        if let Err(error) = self.try_finish(id, now, log) {
            log.warning(&format!(
                "trouble finishing {id}; will try again later: {error}"
            ));
            self.scheduler.finish_later(id, now);
        }
    }

    pub(super) fn try_finish(&mut self, id: u64, now: i64, log: &mut Log) -> io::Result<()> {
        let info = match queue::remainder(&self.disk, &self.layout, id)? {
            Remainder::Nothing => return Ok(()),
            Remainder::End(info) => {
                return self.end(id, TraceId::from_headers(&info.env_headers), log);
            }
            Remainder::Bounce(info) if self.bounced.contains(&id) => {
                queue::forget_failures(&self.disk, &self.layout, id)?;
                return self.end(id, TraceId::from_headers(&info.env_headers), log);
            }
            Remainder::Bounce(info) => info,
        };
        if INJECTIONS_MAX <= self.injections.len() {
            self.bounces_waiting.push_back(id);
            return Ok(());
        }
        match Bounce::for_sender(&info.sender, &self.controls.wording) {
            Bounce::DiscardDouble => self.discard("double", id, &info, log),
            Bounce::DiscardTriple => self.discard("triple", id, &info, log),
            Bounce::Single(notice) | Bounce::Double(notice) => {
                let injection = match self.controls.bounce_processor.clone() {
                    Some(program) => self.ask(&program, id, &info, notice, now),
                    None => self.inject(id, &info, notice, now),
                };
                match injection {
                    Ok(injection) => self.injections.push(injection),
                    Err(error) => {
                        log.warning(&format!(
                            "trouble injecting bounce message, will try later: {error}"
                        ));
                        self.scheduler.finish_later(id, now);
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn discard(
        &mut self,
        degree: &str,
        id: u64,
        info: &queue::Info,
        log: &mut Log,
    ) -> io::Result<()> {
        log.line(|lines| lines.discarding(degree, id));
        let trace = TraceId::from_headers(&info.env_headers);
        self.events.tell(trace, id, Kind::Discarded, |event| {
            event.text = Some(format!("{degree} bounce"));
        });
        queue::forget_failures(&self.disk, &self.layout, id)?;
        self.end(id, trace, log)
    }

    pub(super) fn ask(
        &self,
        program: &[u8],
        id: u64,
        info: &queue::Info,
        notice: Notice,
        now: i64,
    ) -> io::Result<Injection> {
        let (mess, failures) = (self.layout.mess(id), self.layout.bounce(id));
        let mut text = std::fs::read(&failures)?;
        text.truncate(TEXT_BYTES_MAX);
        text.retain(|&b| b != 0);
        let end = text.iter().position(|&b| b == b'>').unwrap_or(0);
        let failed = text.get(1..end).unwrap_or_default().to_vec();
        let recipient = notice.recipient.clone();
        let arguments = [
            mess.as_os_str(),
            failures.as_os_str(),
            OsStr::from_bytes(&text),
            OsStr::from_bytes(&info.sender),
            OsStr::from_bytes(&failed),
            OsStr::from_bytes(&recipient),
        ];
        Injection::ask(&self.home, program, &arguments, id, notice, now)
    }

    pub(super) fn inject(
        &self,
        id: u64,
        info: &queue::Info,
        notice: Notice,
        now: i64,
    ) -> io::Result<Injection> {
        let unguessable = format!("{:016x}{:016x}", os::clock::random(), os::clock::random());
        let report = Report {
            wording: &self.controls.wording,
            is_double: info.sender.is_empty(),
            recipient: &notice.recipient,
            original_sender: &info.sender,
            now,
            unguessable: &unguessable,
        };
        let body = bounce::body(&self.layout, id, &report, self.controls.bounce_bytes_max)?;
        match &self.controls.queue_program {
            Some(program) => Injection::to_program(&self.home, program, id, notice, body, now),
            None => Injection::to_writer(&self.home, id, notice, body, now),
        }
    }

    pub(super) fn progress(&mut self, injection: Injection, progress: Progress, log: &mut Log) {
        let (id, now) = (injection.id, os::clock::unix_seconds());
        let result = match progress {
            Progress::Unfinished if injection.deadline < now => {
                Err(io::Error::other("the queue writer does not answer"))
            }
            Progress::Unfinished => {
                self.injections.push(injection);
                return;
            }
            Progress::Failed(text) => Err(io::Error::other(text)),
            Progress::Approved => self.approved(injection, now),
            Progress::Dropped => self.drop_bounce(id, log),
            Progress::Queued(qp) => self.bounced(&injection, qp, log),
        };
        if let Err(error) = result {
            log.warning(&format!(
                "trouble injecting bounce message, will try later: {error}"
            ));
            self.scheduler.finish_later(id, now);
        }
    }

    pub(super) fn approved(&mut self, injection: Injection, now: i64) -> io::Result<()> {
        let info = queue::Info::read(&self.layout.info(injection.id))?;
        let injection = self.inject(injection.id, &info, injection.notice, now)?;
        self.injections.push(injection);
        Ok(())
    }

    pub(super) fn drop_bounce(&mut self, id: u64, log: &mut Log) -> io::Result<()> {
        log.line(|lines| lines.other(&format!("bounce processor: discarding bounce/{id}")));
        let info = queue::Info::read(&self.layout.info(id))?;
        let trace = TraceId::from_headers(&info.env_headers);
        self.events.tell(trace, id, Kind::Discarded, |event| {
            event.text = Some("bounce, by BOUNCEPROCESSOR".to_owned());
        });
        queue::forget_failures(&self.disk, &self.layout, id)?;
        self.end(id, trace, log)
    }

    pub(super) fn bounced(
        &mut self,
        injection: &Injection,
        qp: u32,
        log: &mut Log,
    ) -> io::Result<()> {
        let id = injection.id;
        log.line(|lines| lines.bounce(id, qp));
        self.bounced.insert(id);
        let info = queue::Info::read(&self.layout.info(id))?;
        let trace = TraceId::from_headers(&info.env_headers);
        self.events.tell(trace, id, Kind::Bounced, |event| {
            event.other = Some(injection.trace);
            event.recipients = vec![text::log::safe(&injection.notice.recipient)];
        });
        queue::forget_failures(&self.disk, &self.layout, id)?;
        self.end(id, trace, log)
    }

    /// The order matters: once `info` is gone only cleaning up is left.
    pub(super) fn end(&mut self, id: u64, trace: Option<TraceId>, log: &mut Log) -> io::Result<()> {
        log.line(|lines| lines.end_message(id));
        queue::end(&self.disk, &self.layout, id)?;
        self.bounced.remove(&id);
        self.forget_hold(id);
        self.events.tell(trace, id, Kind::Ended, |_| {});
        self.cleaner.remove(&mut self.pipes.clean, id);
        Ok(())
    }
}
