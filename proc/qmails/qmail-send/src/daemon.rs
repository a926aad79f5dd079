//! The loop of qmail-send: does what the scheduler says, tells it what the
//! other processes say.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use os::file::Lock;
use os::signal::{Interest, Signal, Signals};
use queue::Layout;
use run::{Home, Settings, Tracer};
use schedule::{
    Bounce, Channel, Finding, JobEnd, JobId, Notice, Report, Reported, Scheduler, Step, Verdict,
};
use wire::spawn::{self, Outcome};
use wire::todo::{Channels, Message, Order};
use wire::trace::{Kind, TraceId};

use crate::cleaner::Cleaner;
use crate::controls::{Controls, capped};
use crate::events::{self, Events};
use crate::files::{self, OpenMessage};
use crate::injection::{Injection, Progress, TEXT_BYTES_MAX};
use crate::log::Log;
use crate::pipes::Pipes;
use crate::sweep::Sweep;
use crate::{PROGRAM, bounce};

/// Bounces on their way at once.
const INJECTIONS_MAX: usize = 16;
/// Steps between two looks at the other processes.
const STEPS_PER_TURN: usize = 500;
/// Longest wait, so that a clock that jumps is noticed.
const WAIT_SECONDS_MAX: i64 = 60;
/// Pause between two turns of the sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// Everything qmail-send knows.
pub struct Daemon {
    home: Home,
    layout: Layout,
    controls: Controls,
    spawn_limits: [usize; 2],
    pipes: Pipes,
    signals: Signals,
    events: Events,
    _mutex: Lock,
    scheduler: Scheduler,
    open: BTreeMap<JobId, OpenMessage>,
    cleaner: Cleaner,
    injections: Vec<Injection>,
    bounces_waiting: VecDeque<u64>,
    sweep: Sweep,
    stopping: bool,
    todo_exited: bool,
    lost_process: bool,
}

/// A descriptor that became ready.
enum Ready {
    Signals,
    /// One of [`Pipes::all`].
    Pipe(usize),
    /// The bounce of a message.
    Injection(u64),
}

impl Daemon {
    /// Takes everything it needs; nothing happens before `run`.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        home: Home,
        layout: Layout,
        controls: Controls,
        spawn_limits: [usize; 2],
        pipes: Pipes,
        signals: Signals,
        tracer: Tracer,
        mutex: Lock,
    ) -> Self {
        Self {
            scheduler: Scheduler::new(capped(controls.limits, spawn_limits)),
            events: Events::new(tracer, layout.name()),
            home,
            layout,
            controls,
            spawn_limits,
            pipes,
            signals,
            _mutex: mutex,
            open: BTreeMap::new(),
            cleaner: Cleaner::default(),
            injections: Vec::new(),
            bounces_waiting: VecDeque::new(),
            sweep: Sweep::default(),
            stopping: false,
            todo_exited: false,
            lost_process: false,
        }
    }

    /// Works until TERM or until another process is lost; the exit code.
    pub fn run(mut self, mut log: Log) -> u8 {
        let now = os::clock::unix_seconds();
        for problem in files::load(&self.layout, &mut self.scheduler, now) {
            log.warning(&problem);
        }
        for channel in Channel::ALL {
            let held = self.controls.held[channel.index()];
            self.scheduler.hold(channel, held, now);
        }
        self.pipes.todo.send(&[Order::Start.to_byte()]);
        self.status(&mut log);
        loop {
            let now = os::clock::unix_seconds();
            self.steps(now, &mut log);
            self.sweep(now);
            log.flush();
            if self.may_exit() {
                break;
            }
            match self.wait(now) {
                Ok(ready) => self.listen(&ready, &mut log),
                Err(error) => log.warning(&format!("trouble in select: {error}")),
            }
        }
        self.remember(&mut log);
        log.line(|lines| lines.other(&format!("status: {PROGRAM} exiting")));
        log.flush();
        if self.lost_process { run::TEMPORARY } else { 0 }
    }

    fn may_exit(&self) -> bool {
        self.stopping
            && self.scheduler.is_idle()
            && self.injections.is_empty()
            && (self.todo_exited || !self.pipes.todo.is_open)
            && (self.cleaner.is_idle() || !self.pipes.clean.is_open)
    }

    fn status(&self, log: &mut Log) {
        let status = self.scheduler.status();
        log.line(|lines| lines.other(&status));
    }

    // What the scheduler wants.

    fn steps(&mut self, now: i64, log: &mut Log) {
        for _ in 0..STEPS_PER_TURN {
            for channel in Channel::ALL {
                let congested = self.pipes.spawn[channel.index()].is_congested();
                self.scheduler.set_congested(channel, congested);
            }
            match self.scheduler.step(now) {
                None => return,
                Some(Step::Open { channel, id }) => self.open_message(channel, id, now, log),
                Some(Step::Next { channel, job }) => self.next_recipient(channel, job, log),
                Some(Step::Close {
                    job,
                    channel,
                    id,
                    end,
                }) => {
                    self.open.remove(&job);
                    if end == JobEnd::Done {
                        self.close_channel(channel, id, now, log);
                    }
                }
                Some(Step::Finish { id }) => self.finish(id, now, log),
            }
        }
    }

    fn open_message(&mut self, channel: Channel, id: u64, now: i64, log: &mut Log) {
        match OpenMessage::open(&self.layout, channel, id) {
            Ok(Some(message)) => {
                let lifetime = self.controls.lifetime_of(&message.info.sender);
                let birth = message.info.birth;
                let job = self.scheduler.opened(channel, id, birth, lifetime, now);
                self.open.insert(job, message);
            }
            // Somebody removed the file, or a crash came after that.
            Ok(None) => self.close_channel(channel, id, now, log),
            Err(error) => {
                let text = format!("trouble opening {channel}/{id}; will try again later: {error}");
                log.warning(&text);
                self.scheduler.unavailable(channel, id, now);
            }
        }
    }

    fn next_recipient(&mut self, channel: Channel, job: JobId, log: &mut Log) {
        let reader = self
            .open
            .get_mut(&job)
            .and_then(|open| open.recipients.as_mut());
        match reader.map_or(Ok(None), |reader| reader.next_recipient()) {
            Ok(Some(record)) => self.start(channel, job, record, log),
            Ok(None) => {
                if let Some(open) = self.open.get_mut(&job) {
                    open.recipients = None;
                }
                self.scheduler.exhausted(channel);
            }
            Err(error) => {
                log.warning(&format!(
                    "trouble reading {channel}; will try again later: {error}"
                ));
                self.scheduler.broken(channel);
            }
        }
    }

    fn start(&mut self, channel: Channel, job: JobId, record: queue::OwnedRecord, log: &mut Log) {
        let Some(open) = self.open.get(&job) else {
            return;
        };
        let recipient = record.data;
        let started = self
            .scheduler
            .start(channel, recipient.clone(), record.offset);
        let mut wire = Vec::new();
        spawn::append_command(
            &mut wire,
            &spawn::Command {
                slot: started.slot,
                message: self.layout.mess_relative(started.id).into_bytes(),
                sender: address::verp_expand(&open.info.sender, &recipient),
                extra_headers: open.info.extra_headers.clone(),
                env_headers: open.info.env_headers.clone(),
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
    fn close_channel(&mut self, channel: Channel, id: u64, now: i64, log: &mut Log) {
        let path = files::recipients(&self.layout, channel, id);
        if let Err(error) = files::remove(&path) {
            let path = path.display();
            log.warning(&format!(
                "unable to unlink {path}; will try again later: {error}"
            ));
            return self.scheduler.unavailable(channel, id, now);
        }
        match files::exists(&files::recipients(&self.layout, channel.other(), id)) {
            Ok(true) => {}
            Ok(false) => self.scheduler.finish(id, now),
            Err(error) => {
                log.warning(&format!(
                    "unable to stat files of {id}; will try again later: {error}"
                ));
                self.scheduler.finish_later(id, now);
            }
        }
    }

    // The end of a message.

    fn finish(&mut self, id: u64, now: i64, log: &mut Log) {
        if let Err(error) = self.try_finish(id, now, log) {
            log.warning(&format!(
                "trouble finishing {id}; will try again later: {error}"
            ));
            self.scheduler.finish_later(id, now);
        }
    }

    fn try_finish(&mut self, id: u64, now: i64, log: &mut Log) -> io::Result<()> {
        let layout = &self.layout;
        for path in [layout.local(id), layout.remote(id), layout.todo(id)] {
            if files::exists(&path)? {
                return Ok(());
            }
        }
        let info = match queue::Info::read(&layout.info(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            info => info?,
        };
        if !files::exists(&layout.bounce(id))? {
            return self.end(id, TraceId::from_headers(&info.env_headers), log);
        }
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

    fn discard(
        &mut self,
        degree: &str,
        id: u64,
        info: &queue::Info,
        log: &mut Log,
    ) -> io::Result<()> {
        log.line(|lines| lines.discarding(degree, id));
        files::remove(&self.layout.bounce(id))?;
        self.end(id, TraceId::from_headers(&info.env_headers), log)
    }

    fn ask(
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

    fn inject(
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

    fn progress(&mut self, injection: Injection, progress: Progress, log: &mut Log) {
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

    fn approved(&mut self, injection: Injection, now: i64) -> io::Result<()> {
        let info = queue::Info::read(&self.layout.info(injection.id))?;
        let injection = self.inject(injection.id, &info, injection.notice, now)?;
        self.injections.push(injection);
        Ok(())
    }

    fn drop_bounce(&mut self, id: u64, log: &mut Log) -> io::Result<()> {
        log.line(|lines| lines.other(&format!("bounce processor: discarding bounce/{id}")));
        let info = queue::Info::read(&self.layout.info(id))?;
        files::remove(&self.layout.bounce(id))?;
        self.end(id, TraceId::from_headers(&info.env_headers), log)
    }

    fn bounced(&mut self, injection: &Injection, qp: u32, log: &mut Log) -> io::Result<()> {
        let id = injection.id;
        log.line(|lines| lines.bounce(id, qp));
        let info = queue::Info::read(&self.layout.info(id))?;
        let trace = TraceId::from_headers(&info.env_headers);
        self.events.tell(trace, id, Kind::Bounced, |event| {
            event.other = Some(injection.trace);
            event.recipients = vec![text::log::safe(&injection.notice.recipient)];
        });
        files::remove(&self.layout.bounce(id))?;
        self.end(id, trace, log)
    }

    /// The order matters: once `info` is gone only cleaning up is left.
    fn end(&mut self, id: u64, trace: Option<TraceId>, log: &mut Log) -> io::Result<()> {
        log.line(|lines| lines.end_message(id));
        files::remove(&self.layout.info(id))?;
        self.events.tell(trace, id, Kind::Ended, |_| {});
        self.cleaner.remove(&mut self.pipes.clean, id);
        Ok(())
    }

    fn sweep(&mut self, now: i64) {
        if self.stopping {
            return;
        }
        for id in self
            .sweep
            .turn(&self.layout, self.controls.ossified_seconds, now)
        {
            self.cleaner.remove(&mut self.pipes.clean, id);
        }
    }

    // What the others say.

    fn wait(&self, now: i64) -> io::Result<Vec<Ready>> {
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
        let ready = os::signal::poll(&waits, Some(self.time_to_wait(now)))?;
        let pairs = what.into_iter().zip(ready);
        Ok(pairs
            .filter_map(|(what, ready)| ready.then_some(what))
            .collect())
    }

    fn time_to_wait(&self, now: i64) -> Duration {
        let wake = self.scheduler.wake_at().unwrap_or(i64::MAX);
        let deadline = self.injections.iter().map(|i| i.deadline + 1).min();
        let until = wake.min(deadline.unwrap_or(i64::MAX));
        let seconds = until.saturating_sub(now).clamp(0, WAIT_SECONDS_MAX);
        let wait = Duration::from_secs(seconds.unsigned_abs());
        match self.sweep.next_turn() {
            Ok(()) if !self.stopping => wait.min(SWEEP_PAUSE),
            _ => wait,
        }
    }

    fn listen(&mut self, ready: &[Ready], log: &mut Log) {
        for ready in ready {
            match ready {
                Ready::Signals => self.take_signals(log),
                Ready::Pipe(at) => {
                    if let Some(pipe) = self.pipes.all_mut().into_iter().nth(*at) {
                        pipe.write_on();
                        pipe.read_on();
                    }
                }
                Ready::Injection(_) => {}
            }
        }
        for channel in Channel::ALL {
            let pipe = &mut self.pipes.spawn[channel.index()];
            for report in pipe.take_all(spawn::take_report) {
                self.report(channel, &report, log);
            }
        }
        self.cleaner.answers(&mut self.pipes.clean, log);
        for message in self.pipes.todo.take_all(wire::todo::take) {
            self.todo_says(message, log);
        }
        self.notice_losses(log);
        self.go_on_injecting(ready, log);
    }

    fn go_on_injecting(&mut self, ready: &[Ready], log: &mut Log) {
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
        while self.injections.len() < INJECTIONS_MAX && !self.stopping {
            let Some(id) = self.bounces_waiting.pop_front() else {
                break;
            };
            self.finish(id, now, log);
        }
    }

    fn report(&mut self, channel: Channel, report: &spawn::Report, log: &mut Log) {
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

    fn found(
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
        if let Finding::Deferred { .. } = finding {
            return;
        }
        if let Finding::Failed { .. } = finding {
            let recipient = self
                .controls
                .virtual_domains
                .without_prepend(&delivery.recipient);
            let paragraph = schedule::paragraph(recipient, text);
            if let Err(error) = bounce::record(&self.layout, id, &paragraph) {
                // Without the note the sender would never know: better to
                // fail the delivery again.
                log.alert(&format!(
                    "unable to append to bounce message; will try again: {error}"
                ));
                return self.scheduler.leave_some(delivery.job);
            }
        }
        if !reported.ends_channel {
            let path = files::recipients(&self.layout, channel, id);
            if let Err(error) = queue::mark_done(&path, delivery.offset) {
                let path = path.display();
                log.warning(&format!(
                    "trouble marking {path}; message will be delivered twice! {error}"
                ));
            }
        }
    }

    fn todo_says(&mut self, message: Option<Message>, log: &mut Log) {
        let now = os::clock::unix_seconds();
        match message {
            Some(Message::New { channels, id }) => match channels {
                Channels::Local => self.scheduler.add(Channel::Local, id, now),
                Channels::Remote => self.scheduler.add(Channel::Remote, id, now),
                Channels::Both => {
                    self.scheduler.add(Channel::Local, id, now);
                    self.scheduler.add(Channel::Remote, id, now);
                }
                Channels::Neither => self.scheduler.finish(id, now),
            },
            Some(Message::Log(text)) => log.raw(&text),
            Some(Message::Exiting) => self.todo_exited = true,
            None => log.warning("qmail-todo speaks an obscure dialect"),
        }
    }

    /// Without one of the others nothing sensible can be done.
    fn notice_losses(&mut self, log: &mut Log) {
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

    fn take_signals(&mut self, log: &mut Log) {
        let now = os::clock::unix_seconds();
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::SIGTERM => self.stop(log),
                Signal::SIGALRM => self.scheduler.run_all(now),
                Signal::SIGHUP => self.reread(now, log),
                _ => {}
            }
        }
        while let Some((child, ended)) = os::child::collect() {
            for mut injection in std::mem::take(&mut self.injections) {
                let progress = injection.child_ended(child, ended);
                self.progress(injection, progress, log);
            }
        }
    }

    fn stop(&mut self, log: &mut Log) {
        if !self.stopping {
            self.stopping = true;
            self.scheduler.stop();
            self.pipes.todo.send(&[Order::Exit.to_byte()]);
            self.status(log);
        }
    }

    fn reread(&mut self, now: i64, log: &mut Log) {
        let settings = Settings::of_process(&self.home);
        for error in self.controls.reread(&settings, &self.layout.name()) {
            log.alert(&format!("unable to reread {}", error.path.display()));
        }
        let limits = capped(self.controls.limits, self.spawn_limits);
        for channel in Channel::ALL {
            self.scheduler.set_limit(channel, limits[channel.index()]);
            let held = self.controls.held[channel.index()];
            if self.scheduler.hold(channel, held, now) {
                let what = if held { "temporarily held" } else { "resumed" };
                log.line(|lines| lines.other(&format!("{channel} deliveries {what}")));
            }
        }
        self.pipes.todo.send(&[Order::Reread.to_byte()]);
        self.status(log);
    }

    /// Leaves the due times for the next start.
    fn remember(&mut self, log: &mut Log) {
        for channel in Channel::ALL {
            for (id, due) in self.scheduler.waiting(channel) {
                if let Err(error) = files::remember_due(&self.layout, channel, id, due) {
                    log.warning(&format!(
                        "unable to utime {channel}/{id}; message will be retried too soon: {error}"
                    ));
                }
            }
        }
    }
}
