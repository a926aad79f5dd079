//! A qmail-send: does what the scheduler says, and checks that it may.

use std::collections::{BTreeMap, BTreeSet};

use schedule::{
    Backlog, Channel, Finding, Holds, JobEnd, JobId, RETRY_TROUBLE_SECONDS, Scheduler, Step,
    Verdict, longest_wait,
};
use wire::operator::Place;

use crate::ledger::{Waiting, next_try};
use crate::world::{BOUNCE_LIFETIME, Event, LIFETIME, Sender, World};

#[derive(Clone, Copy, Debug)]
pub struct Running {
    pub id: u64,
    pub recipient: usize,
    pub verdict: Verdict,
    pub is_new: bool,
}

pub struct Open {
    pub id: u64,
    pub channel: Channel,
    /// Not read yet.
    pub left: Vec<usize>,
    pub started: i64,
    pub is_last: bool,
    pub is_single: bool,
    pub is_new: bool,
}

/// A qmail-send and its qmail-todo.
pub struct Process {
    pub scheduler: Scheduler,
    pub backlog: Backlog,
    pub open: BTreeMap<JobId, Open>,
    pub singles: BTreeSet<u64>,
    /// In first tries, or waiting for them.
    pub told: [usize; 2],
    pub running: BTreeMap<(Channel, u16), Running>,
    pub injecting: BTreeSet<u64>,
    pub delivered: BTreeSet<u64>,
    pub waiting: Waiting,
    pub limits: [usize; 2],
    pub held: [bool; 2],
    pub released: [Option<i64>; 2],
    pub congested: [bool; 2],
    pub is_detached: bool,
    pub on_hold: BTreeSet<u64>,
    pub is_stopping: bool,
    pub seen: i64,
}

impl World {
    /// One turn of qmail-send, until nothing is left to do.
    pub fn work(&mut self) {
        let clock = self.clock();
        if self.process.is_none() {
            return;
        }
        self.notice_clock(clock);
        loop {
            self.load(clock);
            let Some(process) = &mut self.process else {
                return;
            };
            let Some(step) = process.scheduler.step(clock) else {
                break;
            };
            self.act(step, clock);
        }
        self.nothing_waits_that_could_run(clock);
        self.exit();
    }

    fn notice_clock(&mut self, clock: i64) {
        let Some(process) = &mut self.process else {
            return;
        };
        if clock + 60 < process.seen {
            let (before, latest) = (
                process.seen + longest_wait(LIFETIME),
                clock + longest_wait(LIFETIME),
            );
            for channel in Channel::ALL {
                process.waiting.change(channel, |due| match due <= before {
                    true => due.min(latest),
                    false => due,
                });
            }
            process.seen = clock;
        }
        process.seen = process.seen.max(clock);
    }

    fn load(&mut self, clock: i64) {
        let Some(process) = self.process.as_mut().filter(|p| !p.is_stopping) else {
            return;
        };
        for _ in 0..50 {
            let Some(id) = process.backlog.take() else {
                return;
            };
            let files = self.messages[&id].files;
            if files == [None; 2] {
                process.scheduler.finish(id, clock);
            }
            for channel in Channel::ALL {
                if let Some(mtime) = files[channel.index()] {
                    let due = process.backlog.due(channel, mtime);
                    process.scheduler.add(channel, id, due);
                    process.waiting.add(channel, id, due, false);
                }
            }
        }
    }

    fn act(&mut self, step: Step, clock: i64) {
        match step {
            Step::Open { channel, id } => self.open(channel, id, clock),
            Step::Next { channel, job } => self.next(channel, job),
            Step::Close {
                job,
                channel,
                id,
                end,
            } => self.close(job, channel, id, end, clock),
            Step::Finish { id } => self.finish(id, clock),
        }
    }

    fn open(&mut self, channel: Channel, id: u64, clock: i64) {
        let trouble = self.random.chance(3);
        let Some(process) = &mut self.process else {
            return;
        };
        let (due, is_new) = process.waiting.open(channel, id, clock);
        // What was on hold is tried once more, however old it became.
        let released = process.released[channel.index()];
        let was_held = released.is_some_and(|time| due <= time);
        self.outcome.note(1, id, clock);
        let is_single = process.singles.remove(&id);
        if trouble && !is_single {
            let later = clock + RETRY_TROUBLE_SECONDS;
            process.scheduler.unavailable(channel, id, clock);
            return process.waiting.add(channel, id, later, false);
        }
        let message = &self.messages[&id];
        let lifetime = match message.sender {
            Sender::Nobody => BOUNCE_LIFETIME,
            _ => LIFETIME,
        };
        let job = process
            .scheduler
            .opened(channel, id, message.birth, lifetime, clock);
        if is_single {
            process.scheduler.is_single(job);
        }
        let peers = &self.peers;
        let left = (0..message.recipients.len()).rev().filter(|n| {
            let recipient = &message.recipients[*n];
            !recipient.is_marked && peers[recipient.peer].channel == channel
        });
        let open = Open {
            id,
            channel,
            left: left.collect(),
            started: clock,
            is_last: !was_held && message.birth + lifetime < clock,
            is_single,
            is_new,
        };
        process.open.insert(job, open);
        let running = process.running.len();
        assert!(process.open.len() <= running + 4, "more jobs than slots");
    }

    fn next(&mut self, channel: Channel, job: JobId) {
        let trouble = self.random.chance(1);
        let Some(process) = &mut self.process else {
            return;
        };
        let open = process.open.get_mut(&job).expect("an open job");
        assert_eq!(open.channel, channel);
        let is_held = process.on_hold.contains(&open.id);
        assert_eq!(process.scheduler.holds_job(job), is_held);
        if is_held || trouble && !open.is_single {
            return process.scheduler.broken(job);
        }
        let Some(recipient) = open.left.pop() else {
            return process.scheduler.exhausted(job);
        };
        let message = self.messages.get_mut(&open.id).expect("a message");
        let about = &mut message.recipients[recipient];
        let first = *about.first_try.get_or_insert(self.now);
        let (verdict, seconds) = self.peers[about.peer].answer(&mut self.random, self.now, first);
        let started = process.scheduler.start(job, Vec::new(), recipient as u64);
        let running = Running {
            id: open.id,
            recipient,
            verdict,
            is_new: open.is_new,
        };
        let before = process.running.insert((channel, started.slot), running);
        assert!(before.is_none(), "two deliveries in slot {}", started.slot);
        self.outcome.deliveries += 1;
        self.outcome.note(2, started.number, self.now);
        let report = Event::Report(self.starts, channel, started.slot);
        self.at(self.now + seconds, report);
    }

    pub fn report(&mut self, channel: Channel, slot: u16) {
        let (cannot_note, cannot_mark) = (self.random.chance(5), self.random.chance(5));
        let clock = self.clock();
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(running) = process.running.remove(&(channel, slot)) else {
            return;
        };
        let reported = process
            .scheduler
            .report(channel, slot, running.verdict)
            .expect("it runs");
        let job = reported.delivery.job;
        let open = &process.open[&job];
        let message = self.messages.get_mut(&running.id).expect("a message");
        let is_last = open.is_last;
        let recipient = &mut message.recipients[running.recipient];
        self.outcome.note(3, running.id, clock);
        match reported.finding {
            Finding::Deferred { next } => {
                assert!(!is_last || running.verdict == Verdict::Mangled);
                assert_ne!(running.verdict, Verdict::Success);
                assert_eq!(next, next_try(channel, message.birth, open.started));
                return;
            }
            Finding::Delivered => {
                assert_eq!(running.verdict, Verdict::Success);
                recipient.delivered += 1;
            }
            Finding::Failed { expired } => {
                assert_eq!(expired, running.verdict == Verdict::Deferral);
                assert!(!expired || is_last, "given up too early");
                if cannot_note {
                    return process.scheduler.leave_some(job);
                }
                recipient.failed += 1;
                self.outcome.expired += usize::from(expired);
                message.noted.insert(running.recipient);
            }
        }
        if !reported.ends_channel && !open.is_single {
            if cannot_mark {
                message.is_disturbed = true;
            } else {
                recipient.is_marked = true;
            }
        }
    }

    fn close(&mut self, job: JobId, channel: Channel, id: u64, end: JobEnd, clock: i64) {
        let trouble = self.random.chance(3);
        let Some(process) = &mut self.process else {
            return;
        };
        let open = process.open.remove(&job).expect("an open job");
        let message = self.messages.get_mut(&id).expect("a message");
        self.outcome.note(4, id, clock);
        match end {
            JobEnd::Requeued { next } => {
                assert_eq!(next, next_try(channel, message.birth, open.started));
                process.waiting.add(channel, id, next, false);
            }
            JobEnd::Done if trouble => {
                process.scheduler.unavailable(channel, id, clock);
                let later = clock + RETRY_TROUBLE_SECONDS;
                process.waiting.add(channel, id, later, false);
                // Its file stays, with recipients that are done.
                message.is_disturbed = true;
            }
            JobEnd::Done => {
                message.files[channel.index()] = None;
                if message.files == [None; 2] {
                    process.scheduler.finish(id, clock);
                }
            }
            JobEnd::Delivered if trouble => {
                process.delivered.insert(id);
                process.scheduler.finish_later(id, clock);
            }
            JobEnd::Delivered => {
                process.told[channel.index()] -= 1;
                self.end(id);
            }
            JobEnd::PutBack { due, is_done } => {
                process.told[channel.index()] -= 1;
                message.in_todo = false;
                if is_done {
                    process.scheduler.finish(id, clock);
                } else {
                    assert_eq!(due, next_try(channel, message.birth, open.started));
                    message.files[channel.index()] = Some(due);
                    process.scheduler.add(channel, id, due);
                    process.waiting.add(channel, id, due, false);
                }
            }
        }
    }

    fn finish(&mut self, id: u64, clock: i64) {
        self.outcome.note(5, id, clock);
        let Some(process) = &mut self.process else {
            return;
        };
        if process.delivered.remove(&id) {
            let channel = self.peers[self.messages[&id].recipients[0].peer].channel;
            process.told[channel.index()] -= 1;
            return self.end(id);
        }
        let Some(message) = self.messages.get(&id) else {
            return;
        };
        assert!(message.files == [None; 2] && !message.in_todo);
        if message.noted.is_empty() || message.sender == Sender::Double {
            self.outcome.discarded += usize::from(!message.noted.is_empty());
            return self.end(id);
        }
        process.injecting.insert(id);
        let done = self.now + self.random.between(0, 5);
        self.at(done, Event::Injected(self.starts, id));
    }

    pub fn injected(&mut self, id: u64) {
        let (clock, trouble) = (self.clock(), self.random.chance(50));
        let Some(process) = &mut self.process else {
            return;
        };
        if !process.injecting.remove(&id) {
            return;
        }
        if trouble {
            return process.scheduler.finish_later(id, clock);
        }
        self.bounce(id);
        self.end(id);
    }

    /// Whatever is due runs, unless something keeps it.
    fn nothing_waits_that_could_run(&self, clock: i64) {
        let Some(process) = self.process.as_ref().filter(|p| !p.is_stopping) else {
            return;
        };
        for channel in Channel::ALL {
            let at = channel.index();
            let running = |is_new| {
                let of = process.running.iter().filter(|((on, _), _)| *on == channel);
                of.filter(|(_, running)| running.is_new == is_new).count()
            };
            let (new, again) = (running(true), running(false));
            let limit = process.limits[at];
            if process.held[at] || process.congested[at] || limit <= new + again {
                continue;
            }
            let due = |is_new| {
                let first = process.waiting.first(channel, is_new, &process.on_hold);
                first.is_some_and(|due| due <= clock)
            };
            assert!(process.is_detached || !due(true), "a new message waits");
            let is_shared = limit <= again + limit / 4;
            assert!(is_shared || !due(false), "a message waits though due");
        }
    }

    /// After TERM, when nothing runs any more.
    pub fn exit(&mut self) {
        let Some(process) = &self.process else { return };
        let is_over = process.scheduler.is_idle() && process.injecting.is_empty();
        if !process.is_stopping || !is_over {
            return;
        }
        let process = self.process.take().expect("it is there");
        for channel in Channel::ALL {
            for (id, due) in process.scheduler.waiting(channel) {
                if let Some(message) = self.messages.get_mut(&id)
                    && let Some(file) = &mut message.files[channel.index()]
                {
                    *file = due;
                }
            }
        }
        for id in process.delivered {
            // Found in `todo` again.
            let message = self.messages.get_mut(&id).expect("a message");
            message.is_disturbed = true;
        }
        self.come_back();
    }
}

impl Process {
    pub fn is_told(&self, id: u64) -> bool {
        let is_open = |open: &Open| open.id == id && open.is_single;
        self.singles.contains(&id)
            || self.delivered.contains(&id)
            || self.open.values().any(is_open)
    }

    /// An operator holds these messages and no others.
    pub fn hold(&mut self, messages: BTreeSet<u64>, clock: i64) {
        for channel in Channel::ALL {
            for id in self.on_hold.difference(&messages) {
                // What was due meanwhile is not new any more.
                if let Some(Place::Held { .. }) = self.scheduler.place(channel, *id) {
                    self.waiting.is_tried(channel, *id);
                    self.released[channel.index()] = Some(clock);
                }
            }
        }
        self.on_hold = messages.clone();
        let holds = Holds {
            messages,
            ..Holds::default()
        };
        self.scheduler.set_holds(holds, clock);
    }

    pub fn reread(&mut self, held: [bool; 2], clock: i64) {
        self.held = held;
        for channel in Channel::ALL {
            let at = channel.index();
            self.scheduler.set_limit(channel, self.limits[at]);
            if self.scheduler.hold(channel, held[at], clock) && !held[at] {
                self.backlog.all_due(channel, clock);
                self.waiting.change(channel, |due| due.min(clock));
                self.released[at] = Some(clock);
            }
        }
    }
}
