//! The queue on disk, the processes around the scheduler, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use schedule::{Backlog, Channel, Scheduler, Verdict, longest_wait};

use crate::ledger::{Outcome, Waiting};
use crate::peers::{Peer, peers};
use crate::random::Random;
use crate::sending::Process;

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
    pub peer: usize,
    pub first_try: Option<i64>,
    pub is_marked: bool,
    pub delivered: usize,
    pub failed: usize,
}

/// A message and its files.
#[derive(Clone, Debug)]
pub struct Message {
    pub sender: Sender,
    pub recipients: Vec<Recipient>,
    /// By the clock of the machine; and by the sun.
    pub birth: i64,
    pub queued: i64,
    pub in_todo: bool,
    /// The mtimes of `local` and `remote`.
    pub files: [Option<i64>; 2],
    /// What `bounce` says.
    pub noted: BTreeSet<usize>,
    /// A kill or a fault came in between: duplicates are possible.
    pub is_disturbed: bool,
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
    /// Somebody holds some messages; lets all go.
    Hold,
    Release,
    Congest(Channel, bool),
    Jump(i64),
    Term,
    Kill,
    Start,
}

pub struct World {
    pub random: Random,
    pub peers: Vec<Peer>,
    pub messages: BTreeMap<u64, Message>,
    pub next_id: u64,
    pub events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    pub events_made: u64,
    /// By the sun.
    pub now: i64,
    /// What the clock of the machine is ahead.
    pub ahead: i64,
    pub process: Option<Process>,
    pub starts: u64,
    /// Seconds by which messages may have been kept longer.
    pub disturbed: i64,
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

    pub fn clock(&self) -> i64 {
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
                    Event::Hold => {
                        let chosen = self.messages.keys().copied();
                        let chosen = chosen.filter(|_| self.random.chance(200)).collect();
                        process.hold(chosen, clock);
                        self.disturbed += 7_200;
                    }
                    Event::Release => process.hold(BTreeSet::new(), clock),
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
            on_hold: BTreeSet::new(),
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

    pub fn come_back(&mut self) {
        let later = self.now + self.random.between(1, 300);
        self.disturbed += later - self.now;
        self.at(later, Event::Start);
    }

    /// Queues the notice.
    pub fn bounce(&mut self, id: u64) {
        self.outcome.bounces += 1;
        match self.messages[&id].sender {
            Sender::Somebody(peer) => self.queue(Sender::Nobody, &[peer]),
            Sender::Nobody => self.queue(Sender::Double, &[0]),
            Sender::Double => panic!("a double bounce does not bounce"),
        }
    }

    /// A message leaves the queue: whatever it is, everybody knows how it
    /// ended, once.
    pub fn end(&mut self, id: u64) {
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
}
