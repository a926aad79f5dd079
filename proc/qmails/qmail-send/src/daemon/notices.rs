//! Notices that are no bounces: what a sender asked to be told of success
//! and delay (RFC 3461 §4.1).
//!
//! News of a message are collected while its recipients are tried and told
//! when that try is over, in one notice for each kind. They wait in memory,
//! in a bounded room; while it is full nothing new is delivered. A crash
//! loses a notice, as it may lose the note of a failure; it loses no mail.

use std::collections::VecDeque;
use std::io::{self, Cursor};
use std::sync::Arc;

use schedule::{
    Action, Channel, Charset, Copied, Fate, Finding, JobId, News, Notice, Report, Reported,
    notice_recipient,
};
use wire::dsn::{Dsn, Original};
use wire::spawn::ACCEPTED_WITH_REPORTS;

use super::{Daemon, INJECTIONS_MAX};
use crate::files::OpenMessage;
use crate::injection::{Injection, Progress};
use crate::log::Log;
use crate::{bounce, files};

/// Recipients in one notice.
const TOLD_MAX: usize = 100;
/// Bytes of a report in a notice.
const TEXT_BYTES_MAX: usize = 1000;
/// Bytes of notices that wait.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Tries to put a notice into the queue, and the seconds between them.
const TRIES_MAX: u32 = 4;
const RETRY_SECONDS: i64 = schedule::RETRY_TROUBLE_SECONDS;

/// What there is to tell of one recipient.
#[derive(Debug)]
pub struct Told {
    recipient: Vec<u8>,
    original: Option<Original>,
    action: Action,
    text: Vec<u8>,
}

/// A notice that is not in the queue yet.
#[derive(Debug)]
pub struct Pending {
    id: u64,
    notice: Notice,
    body: Arc<[u8]>,
    tries: u32,
    due: i64,
}

/// The notices that wait.
#[derive(Debug, Default)]
pub struct Notices {
    waiting: VecDeque<Pending>,
    bytes: usize,
}

impl Notices {
    fn push(&mut self, pending: Pending) {
        self.bytes += pending.body.len();
        self.waiting.push_back(pending);
    }

    fn take_due(&mut self, now: i64) -> Option<Pending> {
        let at = self.waiting.iter().position(|pending| pending.due <= now)?;
        let pending = self.waiting.remove(at)?;
        self.bytes -= pending.body.len();
        Some(pending)
    }

    /// When the next one is to be tried.
    pub fn next_due(&self) -> Option<i64> {
        self.waiting.iter().map(|pending| pending.due).min()
    }

    /// Says whether there is no room for more.
    pub fn is_full(&self) -> bool {
        WAITING_BYTES_MAX <= self.bytes
    }

    /// Says whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Daemon {
    /// Notes what a report means to a sender who asked.
    pub(super) fn note(
        &mut self,
        channel: Channel,
        reported: &Reported,
        text: &[u8],
        log: &mut Log,
    ) {
        let job = reported.delivery.job;
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        if open.dsn.is_empty() || notice_recipient(&open.info.sender).is_none() {
            return;
        }
        let recipient = &reported.delivery.recipient;
        let wish = open.dsn.wish(recipient);
        let notify = wish.notify.unwrap_or_default();
        let tells_delay = open.tells_delay;
        let action = match (&reported.finding, channel) {
            (Finding::Delivered, Channel::Local) if notify.success => local_success(text),
            (Finding::Delivered, Channel::Remote) if notify.success && !will_report(text) => {
                Action::Relayed
            }
            (Finding::Deferred { .. }, _) if notify.delay && tells_delay => Action::Delayed,
            _ => return,
        };
        let shown = self.controls.virtual_domains.without_prepend(recipient);
        open.told.push(Told {
            recipient: shown.to_vec(),
            original: wish.original,
            action,
            text: text[..text.len().min(TEXT_BYTES_MAX)].to_vec(),
        });
        if TOLD_MAX <= open.told.len() {
            self.tell_some(channel, reported.delivery.id, job, log);
        }
    }

    /// Tells what there is before the job is over.
    fn tell_some(&mut self, channel: Channel, id: u64, job: JobId, log: &mut Log) {
        if let Some(mut open) = self.open.remove(&job) {
            self.tell_all(channel, id, &mut open, log);
            self.open.insert(job, open);
        }
    }

    /// Tells what was noted.
    pub(super) fn tell_all(
        &mut self,
        channel: Channel,
        id: u64,
        open: &mut OpenMessage,
        log: &mut Log,
    ) {
        if open.told.is_empty() {
            return;
        }
        let (delayed, done): (Vec<Told>, Vec<Told>) = std::mem::take(&mut open.told)
            .into_iter()
            .partition(|told| told.action == Action::Delayed);
        let until = open.info.birth + self.controls.lifetime_of(&open.info.sender);
        if !delayed.is_empty()
            && let Err(error) = files::mark_delay_told(&self.layout, channel, id)
        {
            // It would be told with every try.
            log.warning(&format!("unable to mark {channel}/{id}: {error}"));
            return;
        }
        for (news, told) in [(News::Success, done), (News::Delay { until }, delayed)] {
            if told.is_empty() {
                continue;
            }
            match self.notice(id, open, news, &told) {
                Ok(pending) => self.notices.push(pending),
                Err(error) => log.warning(&format!("no notice about {id}: {error}")),
            }
        }
    }

    fn notice(
        &self,
        id: u64,
        open: &OpenMessage,
        news: News,
        told: &[Told],
    ) -> io::Result<Pending> {
        let sender = &open.info.sender;
        let origin = inject::srs::origin(self.controls.bouncing.srs.as_ref(), sender);
        let recipient = notice_recipient(&origin).unwrap_or_default();
        let now = os::clock::unix_seconds();
        let header = bounce::header(&self.layout, id)?;
        let paragraphs: Vec<u8> = told.iter().flat_map(Told::paragraph).collect();
        let unguessable = super::unguessable();
        let report = Report {
            wording: &self.controls.bouncing.wording,
            news,
            recipient,
            original_sender: sender,
            bounced: b"",
            envelope_id: open.dsn.envelope_id.as_ref(),
            arrival: open.info.birth,
            copied: Copied::Header,
            text: Charset::of(&paragraphs),
            message: Charset::of(&header),
            now,
            unguessable: &unguessable,
        };
        let mut body = report.head();
        body.extend_from_slice(&paragraphs);
        body.extend_from_slice(&report.after_paragraphs());
        for told in told {
            body.extend_from_slice(&told.fields(news));
        }
        body.extend_from_slice(&report.before_message());
        body.extend_from_slice(&header);
        body.extend_from_slice(&report.tail(true));
        Ok(Pending {
            id,
            notice: Notice {
                sender: Vec::new(),
                recipient: recipient.to_vec(),
            },
            body: body.into(),
            tries: 0,
            due: now,
        })
    }

    /// Starts what may be started.
    pub(super) fn inject_notices(&mut self, now: i64, log: &mut Log) {
        let due = if self.stopping { i64::MAX } else { now };
        while self.injections.len() < INJECTIONS_MAX
            && let Some(pending) = self.notices.take_due(due)
        {
            let (id, notice) = (pending.id, pending.notice.clone());
            let body: bounce::Body = Box::new(Cursor::new(Arc::clone(&pending.body)));
            let bouncing = &self.controls.bouncing;
            let started = match &bouncing.queue_program {
                Some(program) => {
                    let variables = &bouncing.variables;
                    Injection::to_program(&self.home, program, variables, id, notice, body, now)
                }
                None => Injection::to_writer(&self.home, id, notice, body, now),
            };
            match started {
                Ok(mut injection) => {
                    injection.pending = Some(pending);
                    self.injections.push(injection);
                }
                Err(error) => self.notice_failed(pending, &error.to_string(), log),
            }
        }
    }

    /// What became of a notice on its way; says whether it was one.
    pub(super) fn notice_progress(
        &mut self,
        mut injection: Injection,
        progress: Progress,
        log: &mut Log,
    ) -> Option<(Injection, Progress)> {
        let Some(pending) = injection.pending.take() else {
            return Some((injection, progress));
        };
        let now = os::clock::unix_seconds();
        match progress {
            Progress::Unfinished if now <= injection.deadline => {
                injection.pending = Some(pending);
                self.injections.push(injection);
            }
            Progress::Unfinished => {
                self.notice_failed(pending, injection.silence(), log);
            }
            Progress::Queued(qp) => {
                let line = format!("notice msg {} qp {qp}", pending.id);
                log.line(|lines| lines.other(&line));
            }
            Progress::Failed(text) => self.notice_failed(pending, &text, log),
            Progress::Approved | Progress::Dropped => {}
        }
        None
    }

    fn notice_failed(&mut self, mut pending: Pending, why: &str, log: &mut Log) {
        pending.tries += 1;
        let id = pending.id;
        if self.stopping || TRIES_MAX <= pending.tries {
            log.warning(&format!(
                "trouble injecting notice about {id}, giving up: {why}"
            ));
            return;
        }
        log.warning(&format!(
            "trouble injecting notice about {id}, will try later: {why}"
        ));
        pending.due = os::clock::unix_seconds() + RETRY_SECONDS;
        self.notices.push(pending);
    }
}

impl Told {
    /// For people.
    fn paragraph(&self) -> Vec<u8> {
        let text: &[u8] = match self.action {
            Action::Delivered => b"Delivered.\n",
            Action::Expanded => b"Passed on to other addresses.\n",
            Action::Relayed => b"Passed on to a server that does not tell whether it delivers.\n",
            Action::Delayed | Action::Failed => &self.text,
        };
        schedule::paragraph(&self.recipient, text)
    }

    /// For programs.
    fn fields(&self, news: News) -> Vec<u8> {
        let fate = Fate {
            recipient: &self.recipient,
            original: self.original.as_ref(),
            action: self.action,
            text: &self.text,
            retry_until: match news {
                News::Delay { until } => Some(until),
                News::Success | News::Failure | News::DoubleFailure => None,
            },
        };
        fate.fields()
    }
}

/// Whom the sender wrote to, by the addresses it is shown.
pub(super) fn originals<'a>(
    dsn: &'a Dsn,
    shown: impl Fn(&'a [u8]) -> &'a [u8],
) -> bounce::Originals {
    let recipients = dsn.recipients.iter();
    recipients
        .filter_map(|(recipient, wish)| Some((shown(recipient).to_vec(), wish.original.clone()?)))
        .collect()
}

/// What qmail-local did: its last lines are `did F+W+P`, the numbers of
/// deliveries to files, to other addresses and to programs, and perhaps `qp N`.
fn local_success(text: &[u8]) -> Action {
    let mut lines = text.split(|&b| b == b'\n').rev();
    let did = lines.find_map(|line| line.strip_prefix(b"did "));
    let numbers: Vec<&[u8]> = did.unwrap_or_default().split(|&b| b == b'+').collect();
    match numbers[..] {
        [b"0", forwards, b"0"] if forwards != b"0" => Action::Expanded,
        _ => Action::Delivered,
    }
}

/// Says whether the server that took the message tells the sender. What that
/// server said itself comes later in the report.
fn will_report(text: &[u8]) -> bool {
    let end = text.iter().position(|&b| b == b'\n');
    let first = &text[..end.unwrap_or(text.len())];
    let words = first.strip_suffix(b".").unwrap_or(first);
    words.ends_with(ACCEPTED_WITH_REPORTS.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_can_claim_with_its_own_words_to_tell() {
        assert!(will_report(
            b"192.0.2.1 accepted message and will report.\nRemote host said: 250 ok\n"
        ));
        assert!(!will_report(
            b"192.0.2.1 accepted message.\nRemote host said: 250 accepted message and will report.\n"
        ));
    }

    #[test]
    fn mail_that_only_went_on_was_not_delivered() {
        assert_eq!(local_success(b"did 0+2+0\nqp 77\n"), Action::Expanded);
        assert_eq!(local_success(b"did 1+2+0\nqp 77\n"), Action::Delivered);
        assert_eq!(local_success(b"did 0+0+1\n"), Action::Delivered);
        assert_eq!(local_success(b"whatever"), Action::Delivered);
    }

    #[test]
    fn the_room_for_notices_is_bounded_and_the_due_ones_go_first() {
        let mut notices = Notices::default();
        let pending = |due| Pending {
            id: 1,
            notice: Notice {
                sender: Vec::new(),
                recipient: b"a@b".to_vec(),
            },
            body: vec![b'x'; WAITING_BYTES_MAX / 2].into(),
            tries: 0,
            due,
        };
        notices.push(pending(20));
        assert!(!notices.is_full());
        notices.push(pending(10));
        assert!(notices.is_full());
        assert_eq!(notices.next_due(), Some(10));
        assert!(notices.take_due(9).is_none());
        assert_eq!(notices.take_due(10).unwrap().due, 10);
        assert!(!notices.is_full() && !notices.is_empty());
    }
}
