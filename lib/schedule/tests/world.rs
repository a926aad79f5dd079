//! The queue on disk, the processes around the scheduler, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use schedule::{
    Backlog, Channel, Finding, JobEnd, JobId, RETRY_TROUBLE_SECONDS, Scheduler, Step, Verdict,
    longest_wait,
};

use crate::ledger::{Outcome, Waiting, next_try};
use crate::peers::{Peer, peers};
use crate::random::Random;

pub const LIFETIME: i64 = 604_800;
pub const BOUNCE_LIFETIME: i64 = 172_800;
/// Most messages told in full on a channel, as qmail-todo has it.
const SINGLES_MAX: usize = 500;
/// Longest wait of qmail-send, so that it notices the clock.
const WAIT_MAX: i64 = 60;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    Somebody(usize),
    Nobody,
    Double,
}

#[derive(Clone, Debug)]
pub struct Recipient {
    peer: usize,
    first_try: Option<i64>,
    is_marked: bool,
    delivered: usize,
    failed: usize,
}

/// A message and its files.
#[derive(Clone, Debug)]
struct Message {
    sender: Sender,
    recipients: Vec<Recipient>,
    /// By the clock of the machine; and by the sun.
    birth: i64,
    queued: i64,
    in_todo: bool,
    /// The mtimes of `local` and `remote`.
    files: [Option<i64>; 2],
    /// What `bounce` says.
    noted: BTreeSet<usize>,
    /// A kill or a fault came in between: duplicates are possible.
    is_disturbed: bool,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Event {
    Arrive,
    Trigger,
    Report(u64, Channel, u16),
    Injected(u64, u64),
    Alarm,
    Hangup,
    Detach(bool),
    Congest(Channel, bool),
    Jump(i64),
    Term,
    Kill,
    Start,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    id: u64,
    recipient: usize,
    verdict: Verdict,
    is_new: bool,
}

struct Open {
    id: u64,
    channel: Channel,
    /// Not read yet.
    left: Vec<usize>,
    started: i64,
    is_last: bool,
    is_single: bool,
    is_new: bool,
}

/// A qmail-send and its qmail-todo.
struct Process {
    scheduler: Scheduler,
    backlog: Backlog,
    open: BTreeMap<JobId, Open>,
    singles: BTreeSet<u64>,
    /// In first tries, or waiting for them.
    told: [usize; 2],
    running: BTreeMap<(Channel, u16), Running>,
    injecting: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    waiting: Waiting,
    limits: [usize; 2],
    held: [bool; 2],
    released: [Option<i64>; 2],
    congested: [bool; 2],
    is_detached: bool,
    is_stopping: bool,
    seen: i64,
}

pub struct World {
    random: Random,
    peers: Vec<Peer>,
    messages: BTreeMap<u64, Message>,
    next_id: u64,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    events_made: u64,
    /// By the sun.
    now: i64,
    /// What the clock of the machine is ahead.
    ahead: i64,
    process: Option<Process>,
    starts: u64,
    /// Seconds by which messages may have been kept longer.
    disturbed: i64,
    pub outcome: Outcome,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let peers = peers(&mut random);
        Self {
            random,
            peers,
            messages: BTreeMap::new(),
            next_id: 1,
            events: BinaryHeap::new(),
            events_made: 0,
            now: 0,
            ahead: 1_700_000_000,
            process: None,
            starts: 0,
            disturbed: 0,
            outcome: Outcome::default(),
        }
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    pub fn at(&mut self, time: i64, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((time, self.events_made, event)));
    }

    /// Runs until every message has ended.
    pub fn run(mut self) -> Outcome {
        self.at(0, Event::Start);
        loop {
            self.work();
            let event = self.events.peek().map(|Reverse((time, ..))| *time);
            if self.messages.is_empty() && event.is_none() {
                break;
            }
            let wake = self.process.as_ref().map(|process| {
                let wake = process.scheduler.wake_at().unwrap_or(i64::MAX);
                let wake = wake.saturating_sub(self.ahead);
                wake.clamp(self.now + 1, self.now + WAIT_MAX)
            });
            let next = event.into_iter().chain(wake).min();
            self.now = next.expect("something happens next").max(self.now);
            let left = self.messages.len();
            assert!(self.now < 60 * 86_400, "{left} are left");
            while let Some(Reverse((time, ..))) = self.events.peek()
                && *time <= self.now
                && let Some(Reverse((_, _, event))) = self.events.pop()
            {
                self.happen(event);
                self.work();
            }
        }
        self.outcome.days = self.now / 86_400;
        self.outcome
    }

    fn clock(&self) -> i64 {
        self.now + self.ahead
    }

    fn happen(&mut self, event: Event) {
        let clock = self.clock();
        match event {
            Event::Arrive => {
                let count = match self.random.between(0, 19) {
                    0..12 => 1,
                    12..19 => self.random.between(2, 5),
                    _ => self.random.between(20, 50),
                };
                let peers = self.peers.len() as i64 - 1;
                let to: Vec<usize> = (0..count)
                    .map(|_| self.random.between(0, peers) as usize)
                    .collect();
                let sender = match self.random.between(0, 9) {
                    0 => Sender::Nobody,
                    _ => Sender::Somebody(self.random.between(0, peers) as usize),
                };
                self.queue(sender, &to);
            }
            Event::Trigger => self.preprocess(),
            Event::Report(start, channel, slot) if start == self.starts => {
                self.report(channel, slot);
            }
            Event::Injected(start, id) if start == self.starts => self.injected(id),
            Event::Report(..) | Event::Injected(..) => {}
            Event::Jump(seconds) => {
                self.ahead += seconds;
                self.disturbed += seconds.abs();
                self.outcome.jumps += 1;
            }
            Event::Start => self.start(),
            Event::Kill => self.kill(),
            _ => {
                let Some(process) = &mut self.process else {
                    return;
                };
                match event {
                    Event::Alarm => {
                        process.scheduler.run_all(clock);
                        for channel in Channel::ALL {
                            process.backlog.all_due(channel, clock);
                            process.waiting.change(channel, |due| due.min(clock));
                        }
                    }
                    Event::Hangup => {
                        let mut held = [false; 2];
                        for channel in Channel::ALL {
                            held[channel.index()] = self.random.chance(100);
                            process.limits[channel.index()] = self.random.between(1, 30) as usize;
                        }
                        process.reread(held, clock);
                        if held != [false; 2] {
                            // Somebody lets it go again before long.
                            self.disturbed += 7_200;
                            self.at(self.now + 7_200, Event::Hangup);
                        }
                    }
                    Event::Detach(detached) => {
                        process.is_detached = detached;
                        process.scheduler.detach(detached);
                        self.disturbed += i64::from(detached) * 7_200;
                    }
                    Event::Congest(channel, congested) => {
                        process.congested[channel.index()] = congested;
                        process.scheduler.set_congested(channel, congested);
                    }
                    Event::Term => {
                        process.is_stopping = true;
                        process.scheduler.stop();
                        self.outcome.restarts += 1;
                    }
                    _ => {}
                }
            }
        }
    }

    /// qmail-queue.
    fn queue(&mut self, sender: Sender, to: &[usize]) {
        let id = self.next_id;
        self.next_id += 1;
        let recipients = to.iter().map(|peer| Recipient {
            peer: *peer,
            first_try: None,
            is_marked: false,
            delivered: 0,
            failed: 0,
        });
        let message = Message {
            sender,
            recipients: recipients.collect(),
            birth: self.clock(),
            queued: self.now,
            in_todo: true,
            files: [None; 2],
            noted: BTreeSet::new(),
            is_disturbed: false,
        };
        self.outcome.messages += 1;
        self.outcome.recipients += message.recipients.len();
        self.messages.insert(id, message);
        let pulled = self.now + self.random.between(0, 2);
        self.at(pulled, Event::Trigger);
    }

    /// qmail-todo.
    fn preprocess(&mut self) {
        let clock = self.clock();
        let Some(process) = self.process.as_mut().filter(|p| !p.is_stopping) else {
            return;
        };
        for (id, message) in &mut self.messages {
            if !message.in_todo || process.is_told(*id) {
                continue;
            }
            if let [only] = &message.recipients[..] {
                let channel = self.peers[only.peer].channel;
                if process.told[channel.index()] < SINGLES_MAX && !process.is_detached {
                    process.told[channel.index()] += 1;
                    process.singles.insert(*id);
                    process.scheduler.add_new(channel, *id, clock);
                    process.waiting.add(channel, *id, clock, true);
                    continue;
                }
            }
            message.in_todo = false;
            for recipient in &message.recipients {
                message.files[self.peers[recipient.peer].channel.index()] = Some(clock);
            }
            for channel in Channel::ALL {
                if message.files[channel.index()].is_some() {
                    process.scheduler.add_new(channel, *id, clock);
                    process.waiting.add(channel, *id, clock, true);
                }
            }
        }
    }

    fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.starts += 1;
        let limits = [10, 20];
        let mut scheduler = Scheduler::new(limits);
        scheduler.set_lifetime(LIFETIME);
        let ids = |in_todo| {
            let messages = self.messages.iter();
            let there = messages.filter(move |(_, message)| message.in_todo == in_todo);
            there.map(|(id, _)| *id).collect()
        };
        self.process = Some(Process {
            scheduler,
            backlog: Backlog::new(ids(false), ids(true)),
            open: BTreeMap::new(),
            singles: BTreeSet::new(),
            told: [0; 2],
            running: BTreeMap::new(),
            injecting: BTreeSet::new(),
            delivered: BTreeSet::new(),
            waiting: Waiting::default(),
            limits,
            held: [false; 2],
            released: [None; 2],
            congested: [false; 2],
            is_detached: false,
            is_stopping: false,
            seen: 0,
        });
        self.preprocess();
    }

    fn kill(&mut self) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.outcome.kills += 1;
        for running in process.running.values() {
            let Some(message) = self.messages.get_mut(&running.id) else {
                continue;
            };
            message.is_disturbed = true;
            let was_done = self.random.chance(500);
            if was_done && running.verdict == Verdict::Success {
                message.recipients[running.recipient].delivered += 1;
            }
        }
        for id in process.injecting {
            // Perhaps the bounce was queued, perhaps not.
            if self.random.chance(500)
                && let Some(message) = self.messages.get_mut(&id)
            {
                message.is_disturbed = true;
                self.bounce(id);
            }
        }
        self.come_back();
    }

    fn come_back(&mut self) {
        let later = self.now + self.random.between(1, 300);
        self.disturbed += later - self.now;
        self.at(later, Event::Start);
    }

    /// One turn of qmail-send, until nothing is left to do.
    fn work(&mut self) {
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
        if trouble && !open.is_single {
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

    fn report(&mut self, channel: Channel, slot: u16) {
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

    fn injected(&mut self, id: u64) {
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

    /// Queues the notice.
    fn bounce(&mut self, id: u64) {
        self.outcome.bounces += 1;
        match self.messages[&id].sender {
            Sender::Somebody(peer) => self.queue(Sender::Nobody, &[peer]),
            Sender::Nobody => self.queue(Sender::Double, &[0]),
            Sender::Double => panic!("a double bounce does not bounce"),
        }
    }

    /// A message leaves the queue: whatever it is, everybody knows how it
    /// ended, once.
    fn end(&mut self, id: u64) {
        let message = self.messages.remove(&id).expect("a message ends once");
        for (n, recipient) in message.recipients.iter().enumerate() {
            let Recipient {
                delivered, failed, ..
            } = recipient;
            self.outcome.delivered += usize::from(0 < *delivered);
            self.outcome.failed += usize::from(*delivered == 0);
            let known = delivered + failed;
            assert!(0 < known, "recipient {n} of {message:?} is lost");
            assert!(known == 1 || message.is_disturbed, "{message:?}");
            assert_eq!(0 < *failed, message.noted.contains(&n), "{message:?}");
            self.outcome.duplicates += known - 1;
        }
        let kept = self.now - message.queued;
        // A report that makes no sense is tried again even after that.
        let most = LIFETIME + 10 * longest_wait(LIFETIME) + self.disturbed;
        assert!(kept <= most, "{message:?} was kept {kept} s");
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
                let first = process.waiting.first(channel, is_new);
                first.is_some_and(|due| due <= clock)
            };
            assert!(process.is_detached || !due(true), "a new message waits");
            let is_shared = limit <= again + limit / 4;
            assert!(is_shared || !due(false), "a message waits though due");
        }
    }

    /// After TERM, when nothing runs any more.
    fn exit(&mut self) {
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
    fn is_told(&self, id: u64) -> bool {
        let is_open = |open: &Open| open.id == id && open.is_single;
        self.singles.contains(&id)
            || self.delivered.contains(&id)
            || self.open.values().any(is_open)
    }

    fn reread(&mut self, held: [bool; 2], clock: i64) {
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
