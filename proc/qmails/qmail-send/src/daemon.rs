//! The loop of qmail-send: does what the scheduler says, tells it what the
//! other processes say.

mod finish;
mod listen;
mod notices;
mod operator;
mod singles;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::time::Duration;

use os::file::Lock;
use os::signal::{Interest, Signal, Signals};
use queue::{Disk, Layout, Outcomes};
use run::{Home, Settings, Tracer};
use schedule::{Backlog, Channel, JobId, Scheduler};
use wire::clean::Command;
use wire::todo::{Order, Single};

use crate::PROGRAM;
use crate::cleaner::Cleaner;
use crate::controls::{Controls, capped};
use crate::events::Events;
use crate::files::{self, OpenMessage};
use crate::injection::Injection;
use crate::log::Log;
use crate::operators::Operators;
use crate::pipes::Pipes;
use crate::rates::Rates;
use crate::sweep::Sweep;

use notices::Notices;
pub use notices::{Pending, Told};

/// Bounces on their way at once.
const INJECTIONS_MAX: usize = 16;
/// Steps between two looks at the other processes.
const STEPS_PER_TURN: usize = 500;
/// Longest wait, so that a clock that jumps is noticed.
const WAIT_SECONDS_MAX: i64 = 60;
/// Messages of the backlog looked at in one turn.
const BACKLOG_PER_TURN: usize = 250;
/// Pause before a directory that could not be listed is tried again.
const OPENDIR_PAUSE: Duration = Duration::from_secs(10);
/// Pause between two turns of the sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// Everything qmail-send knows.
pub struct Daemon {
    home: Home,
    disk: Disk,
    layout: Layout,
    controls: Controls,
    rates: Rates,
    spawn_limits: [usize; 2],
    pipes: Pipes,
    signals: Signals,
    events: Events,
    _mutex: Lock,
    scheduler: Scheduler,
    /// What was in the queue at the start and is not read yet.
    backlog: Backlog,
    open: BTreeMap<JobId, OpenMessage>,
    /// Messages with one recipient that wait for their first try.
    singles: BTreeMap<u64, Single>,
    /// Such messages on their way back to qmail-todo; the ones to be tried
    /// at once when they return.
    returning: BTreeMap<u64, bool>,
    outcomes: Outcomes<Disk>,
    cleaner: Cleaner,
    injections: Vec<Injection>,
    bounces_waiting: VecDeque<u64>,
    notices: Notices,
    sweep: Sweep,
    operators: Operators,
    /// Jobs that ended in this turn.
    closed: Vec<steps::EndedJob>,
    stopping: bool,
    is_todo_told: bool,
    todo_exited: bool,
    lost_process: bool,
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
        operators: Operators,
    ) -> Self {
        let mut scheduler = Scheduler::new(capped(controls.limits, spawn_limits));
        scheduler.set_lifetime(controls.lifetime_seconds);
        Self {
            rates: Rates::new(controls.rates_directory.clone(), controls.rates_seconds),
            scheduler,
            backlog: Backlog::default(),
            events: Events::new(tracer, layout.name()),
            home,
            disk: Disk::new(),
            outcomes: Outcomes::new(Disk::new(), layout.clone()),
            layout,
            controls,
            spawn_limits,
            pipes,
            signals,
            _mutex: mutex,
            open: BTreeMap::new(),
            singles: BTreeMap::new(),
            returning: BTreeMap::new(),
            cleaner: Cleaner::default(),
            injections: Vec::new(),
            bounces_waiting: VecDeque::new(),
            notices: Notices::default(),
            sweep: Sweep::default(),
            operators,
            closed: Vec::new(),
            stopping: false,
            is_todo_told: false,
            todo_exited: false,
            lost_process: false,
        }
    }

    /// Works until TERM or until another process is lost; the exit code.
    pub fn run(mut self, mut log: Log) -> u8 {
        let now = os::clock::unix_seconds();
        self.find_backlog(&mut log);
        for channel in Channel::ALL {
            let held = self.controls.held[channel.index()];
            self.scheduler.hold(channel, held, now);
        }
        self.read_holds(now, &mut log);
        self.order(Order::Start);
        self.status(&mut log);
        loop {
            let now = os::clock::unix_seconds();
            self.load(now, BACKLOG_PER_TURN, &mut log);
            self.steps(now, &mut log);
            self.sweep(now);
            log.flush();
            self.events.flush();
            self.act_on_the_record(now, &mut log);
            self.end_todo();
            self.pipes.write_all();
            if self.may_exit() {
                break;
            }
            match self.wait(now, log.has_lines()) {
                Ok(ready) => self.listen(&ready, &mut log),
                Err(error) => log.warning(&format!("trouble in select: {error}")),
            }
        }
        self.remember(&mut log);
        log.line(|lines| lines.other(&format!("status: {PROGRAM} exiting")));
        log.flush();
        self.events.flush();
        if self.lost_process { run::TEMPORARY } else { 0 }
    }

    /// Lists what is in the queue, before qmail-todo starts, so that it tells
    /// none of it. What cannot be listed cannot be left out.
    fn find_backlog(&mut self, log: &mut Log) {
        while !self.stopping {
            let unlisted = match queue::backlog(&self.disk, &self.layout) {
                Ok(found) => {
                    found.log.iter().for_each(|text| log.warning(text));
                    self.backlog = found.backlog;
                    return;
                }
                Err(unlisted) => unlisted,
            };
            for text in unlisted {
                log.alert(&format!("{text}, sleeping..."));
            }
            log.flush();
            let waits = [(self.signals.as_fd(), Interest::Read)];
            let _ = os::signal::poll(&waits, Some(OPENDIR_PAUSE));
            self.take_signals(log);
        }
    }

    /// Reads when some of the backlog is due.
    fn load(&mut self, now: i64, messages_max: usize, log: &mut Log) {
        for _ in 0..messages_max {
            if self.stopping {
                return;
            }
            let Some(id) = self.backlog.take() else {
                return;
            };
            let (layout, scheduler) = (&self.layout, &mut self.scheduler);
            let loaded = queue::load_message(&self.disk, layout, &self.backlog, scheduler, id, now);
            if let Err(error) = loaded {
                log.warning(&format!(
                    "unable to stat files of {id}; will try again later: {error}"
                ));
                self.scheduler.finish_later(id, now);
            }
        }
    }

    fn may_exit(&self) -> bool {
        self.stopping
            && self.scheduler.is_idle()
            && self.injections.is_empty()
            && self.notices.is_empty()
            && (self.todo_exited || !self.pipes.todo.is_open)
            && (self.cleaner.is_idle() || !self.pipes.clean.is_open)
    }

    fn status(&self, log: &mut Log) {
        let status = self.scheduler.status();
        log.line(|lines| lines.other(&status));
    }

    fn sweep(&mut self, now: i64) {
        if self.stopping {
            return;
        }
        for id in self
            .sweep
            .turn(&self.layout, self.controls.ossified_seconds, now)
        {
            self.cleaner
                .ask(&mut self.pipes.clean, Command::Message(id));
        }
    }

    fn take_signals(&mut self, log: &mut Log) {
        let now = os::clock::unix_seconds();
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::SIGTERM => self.stop(log),
                Signal::SIGALRM => {
                    self.scheduler.run_all(now);
                    for channel in Channel::ALL {
                        self.backlog.all_due(channel, now);
                    }
                    self.hurry_returning();
                    // Messages that qmail-todo left alone too.
                    self.order(Order::Reread);
                }
                Signal::SIGHUP => self.reread(now, log),
                Signal::SIGUSR1 => self.detach(true, log),
                Signal::SIGUSR2 => self.detach(false, log),
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
            self.status(log);
        }
    }

    /// qmail-todo ends when nothing runs any more, so that messages with one
    /// recipient that are deferred now can still be put back.
    fn end_todo(&mut self) {
        if self.stopping && !self.is_todo_told && self.scheduler.is_idle() {
            self.is_todo_told = true;
            self.order(Order::Exit);
        }
    }

    /// Takes no new messages, or takes them again; they are preprocessed all
    /// the same.
    fn detach(&mut self, detached: bool, log: &mut Log) {
        self.scheduler.detach(detached);
        let (order, what) = match detached {
            true => (Order::Detach, "detached"),
            false => (Order::Attach, "attached"),
        };
        self.order(order);
        log.line(|lines| lines.other(&format!("status: qmail-todo {what}")));
    }

    fn reread(&mut self, now: i64, log: &mut Log) {
        let settings = Settings::of_process(&self.home);
        for error in self.controls.reread(&settings, &self.layout.name()) {
            log.alert(&format!("unable to reread {}", error.path.display()));
        }
        self.rates = Rates::new(
            self.controls.rates_directory.clone(),
            self.controls.rates_seconds,
        );
        let limits = capped(self.controls.limits, self.spawn_limits);
        for channel in Channel::ALL {
            self.scheduler.set_limit(channel, limits[channel.index()]);
            let held = self.controls.held[channel.index()];
            if self.scheduler.hold(channel, held, now) {
                if !held {
                    self.backlog.all_due(channel, now);
                    self.hurry_returning();
                }
                let what = if held { "temporarily held" } else { "resumed" };
                log.line(|lines| lines.other(&format!("{channel} deliveries {what}")));
            }
        }
        self.order(Order::Reread);
        self.status(log);
    }

    /// Leaves the due times for the next start.
    fn remember(&mut self, log: &mut Log) {
        for channel in Channel::ALL {
            for (id, due) in self.scheduler.waiting(channel) {
                if let Err(error) = files::remember_due(&self.layout, channel, id, due) {
                    let path = files::name(&self.layout, channel, id);
                    log.warning(&format!(
                        "unable to utime {path}; message will be retried too soon: {error}"
                    ));
                }
            }
        }
    }
}

/// Digits nobody can guess.
fn unguessable() -> String {
    format!("{:016x}{:016x}", os::clock::random(), os::clock::random())
}
