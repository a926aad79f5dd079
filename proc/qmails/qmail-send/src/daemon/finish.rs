//! The end of a message: its bounce, if it needs one, and its removal.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use queue::Left;
use run::Settings;
use schedule::{Bounce, Charset, Copied, News, Notice, Report};
use wire::dsn::{Dsn, Return};
use wire::trace::{Kind, TraceId};

use super::{Daemon, INJECTIONS_MAX};
use crate::bounce;
use crate::bouncing::Bouncing;
use crate::injection::{Injection, Progress, TEXT_BYTES_MAX};
use crate::log::Log;

impl Daemon {
    pub(super) fn finish(&mut self, id: u64, now: i64, log: &mut Log) {
        if let Err(error) = self.try_finish(id, now, log) {
            log.warning(&format!(
                "trouble finishing {id}; will try again later: {error}"
            ));
            self.scheduler.finish_later(id, now);
        }
    }

    pub(super) fn try_finish(&mut self, id: u64, now: i64, log: &mut Log) -> io::Result<()> {
        let info = match self.outcomes.left(id)? {
            Left::Nothing => return Ok(()),
            Left::Envelope(command) => {
                self.cleaner.ask(&mut self.pipes.clean, command);
                return Ok(());
            }
            Left::End(info) => {
                return self.end(id, TraceId::from_headers(&info.env_headers), log);
            }
            Left::Bounce(info) => info,
        };
        if INJECTIONS_MAX <= self.injections.len() {
            self.bounces_waiting.push_back(id);
            return Ok(());
        }
        let bouncing = self.bouncing(&info.sender)?;
        let sender = inject::srs::origin(bouncing.srs.as_ref(), &info.sender);
        match Bounce::for_sender(&sender, &bouncing.wording) {
            Bounce::DiscardDouble => self.discard("double", id, &info, log),
            Bounce::DiscardTriple => self.discard("triple", id, &info, log),
            Bounce::Single(notice) | Bounce::Double(notice) => {
                let injection = match &bouncing.processor {
                    Some(program) => self.ask(&bouncing, program, id, notice, now),
                    None => self.inject(&bouncing, id, &info, notice, now),
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
        self.put_on_record(log);
        self.outcomes.discard(id)?;
        self.end(id, trace, log)
    }

    /// How bounces for this sender are made.
    fn bouncing(&self, sender: &[u8]) -> io::Result<Bouncing> {
        let settings = Settings::of_process(&self.home);
        match Bouncing::by_rules(&self.home, &settings, sender)? {
            None => Ok(self.controls.bouncing.clone()),
            Some(_) if !self.controls.starts_programs() => Err(io::Error::other(
                "rules for bounces are new, and need a program; restart qmail-send",
            )),
            Some(changed) => Ok(changed),
        }
    }

    pub(super) fn ask(
        &self,
        bouncing: &Bouncing,
        program: &[u8],
        id: u64,
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
            OsStr::from_bytes(&notice.sender),
            OsStr::from_bytes(&failed),
            OsStr::from_bytes(&recipient),
        ];
        let variables = &bouncing.variables;
        let notice = notice.clone();
        Injection::ask(&self.home, program, variables, &arguments, id, notice, now)
    }

    pub(super) fn inject(
        &self,
        bouncing: &Bouncing,
        id: u64,
        info: &queue::Info,
        notice: Notice,
        now: i64,
    ) -> io::Result<Injection> {
        let unguessable = super::unguessable();
        let dsn = Dsn::from_headers(&info.env_headers);
        let bytes_max = bouncing.bytes_max;
        let report = Report {
            wording: &bouncing.wording,
            news: match info.sender.is_empty() {
                true => News::DoubleFailure,
                false => News::Failure,
            },
            recipient: &notice.recipient,
            original_sender: &info.sender,
            bounced: b"",
            envelope_id: dsn.envelope_id.as_ref(),
            arrival: info.birth,
            copied: match dsn.ret {
                Some(Return::Headers) => Copied::Header,
                _ if bytes_max == 0 => Copied::Header,
                _ => Copied::Message,
            },
            text: Charset::Ascii,
            message: Charset::Ascii,
            now,
            unguessable: &unguessable,
        };
        let shown = |recipient| self.controls.virtual_domains.without_prepend(recipient);
        let originals = super::notices::originals(&dsn, shown);
        let body = bounce::body(&self.layout, id, &report, bytes_max, originals)?;
        match &bouncing.queue_program {
            Some(program) => {
                let variables = &bouncing.variables;
                Injection::to_program(&self.home, program, variables, id, notice, body, now)
            }
            None => Injection::to_writer(&self.home, id, notice, body, now),
        }
    }

    pub(super) fn progress(&mut self, injection: Injection, progress: Progress, log: &mut Log) {
        let Some((injection, progress)) = self.notice_progress(injection, progress, log) else {
            return;
        };
        let (id, now) = (injection.id, os::clock::unix_seconds());
        self.log_judgement(&injection, log);
        let result = match progress {
            Progress::Unfinished if injection.deadline < now => {
                Err(io::Error::other(injection.silence()))
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

    /// What BOUNCEPROCESSOR said.
    fn log_judgement(&self, injection: &Injection, log: &mut Log) {
        let Some(exit) = injection.judgement else {
            return;
        };
        let Notice { sender, recipient } = &injection.notice;
        let id = injection.id;
        let line = format!(
            "bounce processor sender <{}> recipient <{}> messfn <{}> bouncefn <{}> exit={exit}",
            text::log::safe(sender),
            text::log::safe(recipient),
            self.layout.mess_relative(id),
            self.layout.bounce(id).display(),
        );
        log.line(|lines| lines.other(&line));
    }

    pub(super) fn approved(&mut self, injection: Injection, now: i64) -> io::Result<()> {
        let info = queue::Info::read(&self.layout.info(injection.id))?;
        let bouncing = self.bouncing(&info.sender)?;
        let injection = self.inject(&bouncing, injection.id, &info, injection.notice, now)?;
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
        self.put_on_record(log);
        self.outcomes.discard(id)?;
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
        let info = queue::Info::read(&self.layout.info(id));
        let trace = info
            .as_ref()
            .map_or(None, |info| TraceId::from_headers(&info.env_headers));
        self.events.tell(trace, id, Kind::Bounced, |event| {
            event.other = Some(injection.trace);
            event.recipients = vec![text::log::safe(&injection.notice.recipient)];
        });
        self.put_on_record(log);
        self.outcomes.bounced(id)?;
        info?;
        self.end(id, trace, log)
    }

    /// Before something that cannot be undone and is logged in this turn.
    pub(super) fn put_on_record(&mut self, log: &mut Log) {
        log.flush();
        self.events.flush();
    }

    /// The order matters: once `info` is gone only cleaning up is left.
    pub(super) fn end(&mut self, id: u64, trace: Option<TraceId>, log: &mut Log) -> io::Result<()> {
        log.line(|lines| lines.end_message(id));
        let command = self.outcomes.end(id)?;
        self.forget_hold(id);
        self.events.tell(trace, id, Kind::Ended, |_| {});
        self.cleaner.ask(&mut self.pipes.clean, command);
        Ok(())
    }
}
