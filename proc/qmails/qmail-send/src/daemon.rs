//! The loop of qmail-send: does what the scheduler says, tells it what the
//! other processes say.

mod finish;
mod listen;
mod notices;
mod singles;
mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use os::file::Lock;
use os::signal::{Signal, Signals};
use queue::Layout;
use run::{Home, Settings, Tracer};
use schedule::{Channel, JobId, Scheduler};
use wire::todo::{Order, Single};

use crate::PROGRAM;
use crate::cleaner::Cleaner;
use crate::controls::{Controls, capped};
use crate::events::Events;
use crate::files::{self, OpenMessage};
use crate::injection::Injection;
use crate::log::Log;
use crate::pipes::Pipes;
use crate::sweep::Sweep;

use notices::Notices;
pub use notices::{Pending, Told};

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
    /// Messages with one recipient that wait for their first try.
    singles: BTreeMap<u64, Single>,
    /// Such messages on their way back to qmail-todo; the ones to be tried
    /// at once when they return.
    returning: BTreeMap<u64, bool>,
    /// Such messages, delivered, whose envelopes could not be removed.
    delivered: BTreeSet<u64>,
    cleaner: Cleaner,
    injections: Vec<Injection>,
    bounces_waiting: VecDeque<u64>,
    notices: Notices,
    sweep: Sweep,
    stopping: bool,
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
            singles: BTreeMap::new(),
            returning: BTreeMap::new(),
            delivered: BTreeSet::new(),
            cleaner: Cleaner::default(),
            injections: Vec::new(),
            bounces_waiting: VecDeque::new(),
            notices: Notices::default(),
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
        self.order(Order::Start);
        self.status(&mut log);
        loop {
            let now = os::clock::unix_seconds();
            self.steps(now, &mut log);
            self.sweep(now);
            log.flush();
            self.events.flush();
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
            self.cleaner.remove(&mut self.pipes.clean, id);
        }
    }

    fn take_signals(&mut self, log: &mut Log) {
        let now = os::clock::unix_seconds();
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::SIGTERM => self.stop(log),
                Signal::SIGALRM => {
                    self.scheduler.run_all(now);
                    self.hurry_returning();
                    // Messages that qmail-todo left alone too.
                    self.order(Order::Reread);
                }
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
            self.order(Order::Exit);
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
                if !held {
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
                    log.warning(&format!(
                        "unable to utime {channel}/{id}; message will be retried too soon: {error}"
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
