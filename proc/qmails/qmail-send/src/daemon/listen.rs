//! What the other processes say.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use os::signal::Interest;
use queue::Mark;
use schedule::{Channel, Finding, JobId, Reported, Verdict};
use wire::spawn::{self, Outcome};
use wire::todo::{Channels, Message};
use wire::trace::Kind;

use super::{Daemon, INJECTIONS_MAX, SWEEP_PAUSE, WAIT_SECONDS_MAX};
use crate::events;
use crate::injection::Progress;
use crate::log::Log;

/// How long lines about what ended wait for others to be written with.
const LINES_PAUSE: Duration = Duration::from_millis(10);

/// A descriptor that became ready.
pub(super) enum Ready {
    Signals,
    /// One of [`crate::pipes::Pipes::all`].
    Pipe(usize),
    /// The bounce of a message.
    Injection(u64),
    /// A tool connects, asks or reads an answer.
    Operators,
}

impl Daemon {
    pub(super) fn wait(&self, now: i64, has_lines: bool) -> io::Result<Vec<Ready>> {
        let mut waits = vec![(self.signals.as_fd(), Interest::Read)];
        let mut what = vec![Ready::Signals];
        for (at, pipe) in self.pipes.all().into_iter().enumerate() {
            let reader = pipe.reader().map(|file| (file.as_fd(), Interest::Read));
            let writer = pipe.writer().map(|file| (file.as_fd(), Interest::Write));
            for wait in reader.into_iter().chain(writer) {
                waits.push(wait);
                what.push(Ready::Pipe(at));
            }
        }
        for injection in &self.injections {
            if let Some(wait) = injection.wait() {
                waits.push(wait);
                what.push(Ready::Injection(injection.id));
            }
        }
        for wait in self.operators.waits() {
            waits.push(wait);
            what.push(Ready::Operators);
        }
        let ready = os::signal::poll(&waits, Some(self.time_to_wait(now, has_lines)))?;
        let pairs = what.into_iter().zip(ready);
        Ok(pairs
            .filter_map(|(what, ready)| ready.then_some(what))
            .collect())
    }

    pub(super) fn time_to_wait(&self, now: i64, has_lines: bool) -> Duration {
        let wake = self.scheduler.wake_at().unwrap_or(i64::MAX);
        let deadline = self.injections.iter().map(|i| i.deadline + 1).min();
        let notice = self.notices.next_due();
        let until = [deadline, notice]
            .into_iter()
            .flatten()
            .fold(wake, i64::min);
        let seconds = until.saturating_sub(now).clamp(0, WAIT_SECONDS_MAX);
        if !self.backlog.is_empty() && !self.stopping {
            return Duration::ZERO;
        }
        let wait = match has_lines {
            true => LINES_PAUSE.min(Duration::from_secs(seconds.unsigned_abs())),
            false => Duration::from_secs(seconds.unsigned_abs()),
        };
        match self.sweep.next_turn() {
            Ok(()) if !self.stopping => wait.min(SWEEP_PAUSE),
            _ => wait,
        }
    }

    pub(super) fn listen(&mut self, ready: &[Ready], log: &mut Log) {
        for ready in ready {
            match ready {
                Ready::Signals => self.take_signals(log),
                Ready::Pipe(at) => {
                    if let Some(pipe) = self.pipes.all_mut().into_iter().nth(*at) {
                        pipe.read_on();
                    }
                }
                Ready::Injection(_) | Ready::Operators => {}
            }
        }
        for channel in Channel::ALL {
            let pipe = &mut self.pipes.spawn[channel.index()];
            for report in pipe.take_all(spawn::take_report) {
                self.report(channel, &report, log);
            }
        }
        let envelopes = self.cleaner.answers(&mut self.pipes.clean, log);
        self.envelopes_removed(envelopes, log);
        for message in self.pipes.todo.take_all(wire::todo::take) {
            self.todo_says(message, log);
        }
        if ready.iter().any(|ready| matches!(ready, Ready::Operators)) {
            self.answer_operators(log);
        }
        self.notice_losses(log);
        self.go_on_injecting(ready, log);
    }

    pub(super) fn go_on_injecting(&mut self, ready: &[Ready], log: &mut Log) {
        let now = os::clock::unix_seconds();
        for mut injection in std::mem::take(&mut self.injections) {
            let id = injection.id;
            let is_ready = ready
                .iter()
                .any(|r| matches!(r, Ready::Injection(n) if *n == id));
            let progress = if is_ready {
                injection.ready()
            } else {
                Progress::Unfinished
            };
            self.progress(injection, progress, log);
        }
        self.inject_notices(now, log);
        while self.injections.len() < INJECTIONS_MAX && !self.stopping {
            let Some(id) = self.bounces_waiting.pop_front() else {
                break;
            };
            self.finish(id, now, log);
        }
    }

    pub(super) fn report(&mut self, channel: Channel, report: &spawn::Report, log: &mut Log) {
        let verdict = match report.outcome {
            Outcome::Success => Verdict::Success,
            Outcome::Deferral => Verdict::Deferral,
            Outcome::Failure => Verdict::Failure,
            Outcome::Mangled => Verdict::Mangled,
        };
        let reported = match self.scheduler.report(channel, report.slot, verdict) {
            Ok(reported) => reported,
            Err(error) => return log.warning(&error.to_string()),
        };
        match reported.finding {
            Finding::Failed { expired: true } => {
                let text = schedule::final_report(&report.text);
                self.found(channel, &reported, Verdict::Failure, &text, log);
            }
            _ => self.found(channel, &reported, verdict, &report.text, log),
        }
        self.status(log);
    }

    pub(super) fn found(
        &mut self,
        channel: Channel,
        reported: &Reported,
        verdict: Verdict,
        text: &[u8],
        log: &mut Log,
    ) {
        let Reported {
            delivery, finding, ..
        } = reported;
        let id = delivery.id;
        log.line(|lines| lines.ended(delivery.number, verdict, text));
        let trace = self.open.get(&delivery.job).and_then(|open| open.trace);
        let (kind, next) = match finding {
            Finding::Delivered => (Kind::Delivered, None),
            Finding::Deferred { next } => (Kind::Deferred, Some(*next)),
            Finding::Failed { .. } => (Kind::Failed, None),
        };
        self.events.tell(trace, id, kind, |event| {
            events::about(event, channel, &delivery.recipient);
            events::words(event, text);
            event.next = next;
        });
        self.note(channel, reported, text, log);
        if let Finding::Deferred { .. } = finding {
            return;
        }
        // RFC 3461 §4.1: who wants no news of a failure gets none.
        let is_noted = matches!(finding, Finding::Failed { .. })
            && self.wants_failure(delivery.job, &delivery.recipient);
        if !is_noted && finding != &Finding::Delivered {
            self.events.tell(trace, id, Kind::Discarded, |event| {
                events::about(event, channel, &delivery.recipient);
                event.text = Some("the sender wants to hear of no failure".to_owned());
            });
        }
        let paragraph = is_noted.then(|| {
            let domains = &self.controls.virtual_domains;
            schedule::paragraph(domains.without_prepend(&delivery.recipient), text)
        });
        let open = self.open.get(&delivery.job);
        // A single recipient has no file to be marked in.
        let has_mark = !reported.ends_channel && !open.is_some_and(|open| open.is_single);
        let mark = has_mark.then_some(Mark {
            channel,
            id,
            offset: delivery.offset,
        });
        if let Err(error) = self.outcomes.settle(id, paragraph.as_deref(), mark) {
            log.alert(&format!(
                "unable to append to bounce message; will try again: {error}"
            ));
            self.scheduler.leave_some(delivery.job);
        }
    }

    fn wants_failure(&self, job: JobId, recipient: &[u8]) -> bool {
        let open = self.open.get(&job);
        open.is_none_or(|open| open.dsn.notify(recipient).failure)
    }

    pub(super) fn todo_says(&mut self, message: Option<Message>, log: &mut Log) {
        let now = os::clock::unix_seconds();
        match message {
            Some(Message::New { channels, id, due }) => {
                let due = self.due(id, due, now);
                let channels: &[Channel] = match channels {
                    Channels::Local => &[Channel::Local],
                    Channels::Remote => &[Channel::Remote],
                    Channels::Both => &Channel::ALL,
                    Channels::Neither => &[],
                };
                if channels.is_empty() {
                    self.scheduler.finish(id, now);
                }
                for channel in channels {
                    match due {
                        Some(due) => self.scheduler.add(*channel, id, due),
                        None => self.scheduler.add_new(*channel, id, now),
                    }
                }
            }
            Some(Message::Single(single)) => self.add_single(single, now),
            Some(Message::Log(text)) => log.raw(&text),
            Some(Message::Exiting) => self.todo_exited = true,
            None => log.warning("qmail-todo speaks an obscure dialect"),
        }
    }

    /// Without one of the others nothing sensible can be done.
    pub(super) fn notice_losses(&mut self, log: &mut Log) {
        for channel in Channel::ALL {
            if !self.pipes.spawn[channel.index()].is_open {
                self.scheduler.lose(channel);
            }
        }
        let lost = self
            .pipes
            .all()
            .into_iter()
            .find(|pipe| !pipe.is_open)
            .map(|pipe| pipe.name);
        let is_expected = self.todo_exited && lost == Some(self.pipes.todo.name);
        if let Some(name) = lost.filter(|_| !self.lost_process && !is_expected) {
            log.alert(&format!("oh no! lost {name} connection! dying..."));
            self.lost_process = true;
            self.stop(log);
        }
    }
}
