//! qmail-send's mind: which message is opened, which recipient started, what
//! becomes of a message after a pass.
//!
//! Three things that are easily confused: a *slot* holds one running
//! delivery; a *pass* is a file of recipients that is being read, at most one
//! for first tries and one for retries on each channel; a *job* is a message
//! on a channel from the start of its pass until its last delivery reported.
//!
//! Invariant: a message is on a channel either in a due queue or as a job,
//! never both, so it is never tried twice at once.
//!
//! Memory: sixteen bytes a message and channel in the due queues (twice that
//! while one of them grows), and the jobs, of which there are no more than
//! slots and passes.

mod operator;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use operator::{Forgotten, Place};

use crate::channel::Channel;
use crate::due::DueQueue;
use crate::holds::Holds;
use crate::lane::{Lane, Turn};
use crate::retry::{LIFETIME_DEFAULT_SECONDS, is_expired, longest_wait, next_attempt};

/// After trouble with a file a message is looked at again this much later.
pub const RETRY_TROUBLE_SECONDS: i64 = 123;
/// A clock that goes back by more was set, not adjusted.
const CLOCK_SET_SECONDS: i64 = 60;

/// Identifies a job of this process.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobId(u64);

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Open the recipients of a message; answer [`Scheduler::opened`],
    /// [`Scheduler::unavailable`] or, when the file is gone, nothing.
    Open {
        /// Which file of recipients.
        channel: Channel,
        /// Which message.
        id: u64,
    },
    /// Read the next recipient of a job; answer [`Scheduler::start`],
    /// [`Scheduler::exhausted`] or [`Scheduler::broken`].
    Next {
        /// Where.
        channel: Channel,
        /// Of which job.
        job: JobId,
    },
    /// The job is over: forget it, and act on its end.
    Close {
        /// Which job.
        job: JobId,
        /// Its channel.
        channel: Channel,
        /// Its message.
        id: u64,
        /// How it ended.
        end: JobEnd,
    },
    /// Bounce what failed, then remove the message; when that does not work
    /// now, [`Scheduler::finish_later`].
    Finish {
        /// Which message.
        id: u64,
    },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobEnd {
    /// No recipient is left on this channel: remove its file, and when the
    /// other channel has none either, [`Scheduler::finish`].
    Done,
    /// Some are left; the message waits in the due queue already.
    Requeued {
        /// Until then.
        next: i64,
    },
    /// The single recipient has the message ([`Scheduler::is_single`]):
    /// remove it.
    Delivered,
    /// The single recipient does not have it: give the message back to be
    /// preprocessed.
    PutBack {
        /// Unix time of the next try.
        due: i64,
        /// There will be none: it failed, and that is noted.
        is_done: bool,
    },
}

/// A delivery that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Its job.
    pub job: JobId,
    /// Its message.
    pub id: u64,
    /// Its number in the log.
    pub number: u64,
    /// Where the recipient's record begins in the file.
    pub offset: u64,
    /// The recipient.
    pub recipient: Vec<u8>,
}

/// Where and as what a delivery was started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Started {
    /// Slot of the spawner.
    pub slot: u16,
    /// Number for the log.
    pub number: u64,
    /// The message.
    pub id: u64,
}

/// What a report means for the recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Mark the recipient done.
    Delivered,
    /// Leave it; it is tried again at `next`.
    Deferred {
        /// Unix time of the next try.
        next: i64,
    },
    /// Write it to the bounce, then mark it done.
    Failed {
        /// It could still have been tried, were the message not too old.
        expired: bool,
    },
}

/// What a report was about and what it means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reported {
    /// The delivery that ended.
    pub delivery: Delivery,
    /// What to do for its recipient.
    pub finding: Finding,
    /// It was the last of its channel and none is left: the file is about to
    /// go, so marking a recipient in it is not worth the trouble.
    pub ends_channel: bool,
}

/// A report for a slot in which nothing runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("internal error: delivery report out of range")]
pub struct Unknown;

#[derive(Debug)]
struct Job {
    id: u64,
    channel: Channel,
    next: i64,
    is_last_attempt: bool,
    turn: Turn,
    /// Some recipient has to be tried again.
    leaves_some: bool,
    /// Some recipient failed for good.
    has_failed: bool,
    /// It has one recipient and no files.
    is_single: bool,
    /// The pass, while it reads, and each running delivery.
    references: usize,
}

/// The state of one queue's deliveries.
#[derive(Debug, Default)]
pub struct Scheduler {
    lanes: [Lane; 2],
    finishing: DueQueue,
    jobs: BTreeMap<JobId, Job>,
    closing: VecDeque<JobId>,
    holds: Holds,
    /// Messages that are due and held, and since when they are due.
    parked: BTreeMap<(Channel, u64), i64>,
    /// Messages with recipients that were passed over, being held.
    skipped: BTreeSet<(Channel, u64)>,
    /// Messages in a job that are to be due as soon as it ends.
    hurried: BTreeSet<(Channel, u64)>,
    jobs_started: u64,
    deliveries_started: u64,
    stopping: bool,
    /// New messages are not started.
    detached: bool,
    /// Longest that a message can have to wait.
    wait_max: i64,
    /// The clock when it was last seen.
    seen: i64,
}

impl Scheduler {
    /// A scheduler with nothing to do, at most `limits` deliveries at once on
    /// the local and remote channel.
    pub fn new(limits: [usize; 2]) -> Self {
        let mut new = Self::default();
        new.set_lifetime(LIFETIME_DEFAULT_SECONDS);
        for channel in Channel::ALL {
            new.set_limit(channel, limits[channel.index()]);
        }
        new
    }

    /// Changes how many deliveries run at once. Those above a smaller limit
    /// end on their own.
    pub fn set_limit(&mut self, channel: Channel, limit: usize) {
        let lane = self.lane(channel);
        lane.limit = limit;
        if lane.slots.len() < limit {
            lane.slots.resize_with(limit, || None);
        }
    }

    /// Stops or lets new deliveries start on a channel; when they resume,
    /// everything is due. Says whether that changed anything.
    pub fn hold(&mut self, channel: Channel, held: bool, now: i64) -> bool {
        let lane = self.lane(channel);
        let changed = lane.held != held;
        lane.held = held;
        if changed && !held {
            lane.all_due(now);
            lane.released = Some(now);
        }
        changed
    }

    /// Stops or lets new messages be started, on both channels; those in the
    /// queue are tried on.
    pub fn detach(&mut self, detached: bool) {
        self.detached = detached;
    }

    /// Says how long messages are tried, and so how far in the future a next
    /// try can be: what is further away when the clock is set back is not.
    pub fn set_lifetime(&mut self, seconds: i64) {
        self.wait_max = longest_wait(seconds).max(RETRY_TROUBLE_SECONDS);
    }

    /// Says whether the spawner takes another command now. While it does not,
    /// nothing is started on that channel.
    pub fn set_congested(&mut self, channel: Channel, congested: bool) {
        self.lane(channel).congested = congested;
    }

    /// Starts nothing any more; what runs may end.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Adds a new message with recipients on a channel.
    pub fn add_new(&mut self, channel: Channel, id: u64, now: i64) {
        self.lane(channel).due[Turn::First.index()].push(now, id);
    }

    /// Adds a message that was tried, or was in the queue at the start.
    pub fn add(&mut self, channel: Channel, id: u64, due: i64) {
        self.lane(channel).due[Turn::Again.index()].push(due, id);
    }

    /// Adds a message with no recipients left.
    pub fn finish(&mut self, id: u64, now: i64) {
        self.finishing.push(now, id);
    }

    /// The message cannot be finished now.
    pub fn finish_later(&mut self, id: u64, now: i64) {
        self.finishing.push(now + RETRY_TROUBLE_SECONDS, id);
    }

    /// Every message is due now, whatever its schedule says.
    pub fn run_all(&mut self, now: i64) {
        for lane in &mut self.lanes {
            lane.all_due(now);
        }
        self.finishing.all_due(now);
    }

    /// Notices that the clock was set back: what was due within the longest
    /// wait by the old clock is so by the new one.
    fn notice_clock(&mut self, now: i64) {
        if now + CLOCK_SET_SECONDS < self.seen {
            let (before, wait) = (self.seen, self.wait_max);
            for due in self.lanes.iter_mut().flat_map(|lane| &mut lane.due) {
                due.pull(before.saturating_add(wait), now.saturating_add(wait));
            }
            let latest = now.saturating_add(wait);
            for due in self.parked.values_mut() {
                if *due <= before.saturating_add(wait) {
                    *due = latest.min(*due);
                }
            }
            let wait = RETRY_TROUBLE_SECONDS;
            self.finishing.pull(before + wait, now + wait);
            self.seen = now;
        }
        self.seen = self.seen.max(now);
    }

    /// The recipients of the message are open; its pass begins.
    pub fn opened(
        &mut self,
        channel: Channel,
        id: u64,
        birth: i64,
        lifetime_seconds: i64,
        now: i64,
    ) -> JobId {
        self.jobs_started += 1;
        let job = JobId(self.jobs_started);
        let lane = &self.lanes[channel.index()];
        let (turn, since) = lane.opening;
        // What became too old on hold is not given up for that.
        let was_held = lane.released.is_some_and(|time| since <= time);
        self.jobs.insert(
            job,
            Job {
                id,
                channel,
                next: next_attempt(channel, birth, now),
                is_last_attempt: !was_held && is_expired(birth, now, lifetime_seconds),
                turn,
                leaves_some: false,
                has_failed: false,
                is_single: false,
                references: 1,
            },
        );
        self.lane(channel).passes[turn.index()] = Some(job);
        job
    }

    /// The job's message has one recipient and no files: it ends delivered,
    /// or is put back.
    pub fn is_single(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.is_single = true;
        }
    }

    /// The recipients of the message cannot be opened now.
    pub fn unavailable(&mut self, channel: Channel, id: u64, now: i64) {
        self.add(channel, id, now + RETRY_TROUBLE_SECONDS);
    }

    /// The next recipient of the job is this one; it gets a slot.
    ///
    /// # Panics
    /// When [`Step::Next`] did not ask for it.
    pub fn start(&mut self, job: JobId, recipient: Vec<u8>, offset: u64) -> Started {
        self.deliveries_started += 1;
        let number = self.deliveries_started;
        let state = self.jobs.get_mut(&job).expect("a recipient was asked for");
        state.references += 1;
        let (id, turn) = (state.id, state.turn);
        let lane = &mut self.lanes[state.channel.index()];
        let slot = lane.free_slot().expect("a slot was free when asked");
        lane.running[turn.index()] += 1;
        lane.slots[usize::from(slot)] = Some(Delivery {
            job,
            id,
            number,
            offset,
            recipient,
        });
        Started { slot, number, id }
    }

    /// The pass of a job has read its last recipient.
    pub fn exhausted(&mut self, job: JobId) {
        let Some(state) = self.jobs.get(&job) else {
            return;
        };
        let (channel, turn) = (state.channel, state.turn);
        let pass = &mut self.lane(channel).passes[turn.index()];
        if *pass == Some(job) {
            *pass = None;
            self.release(job);
        }
    }

    /// The file of recipients cannot be read on; what is left waits.
    pub fn broken(&mut self, job: JobId) {
        self.leave_some(job);
        self.exhausted(job);
    }

    /// A spawner reported. The driver acts on the finding before its next
    /// step.
    pub fn report(
        &mut self,
        channel: Channel,
        slot: u16,
        outcome: crate::Verdict,
    ) -> Result<Reported, Unknown> {
        let lane = self.lane(channel);
        let running = lane.slots.get_mut(usize::from(slot)).ok_or(Unknown)?;
        let delivery = running.take().ok_or(Unknown)?;
        let job = self.jobs.get_mut(&delivery.job).ok_or(Unknown)?;
        self.lanes[channel.index()].running[job.turn.index()] -= 1;
        let finding = match outcome {
            crate::Verdict::Success => Finding::Delivered,
            crate::Verdict::Failure => Finding::Failed { expired: false },
            crate::Verdict::Deferral if job.is_last_attempt => Finding::Failed { expired: true },
            crate::Verdict::Deferral | crate::Verdict::Mangled => {
                Finding::Deferred { next: job.next }
            }
        };
        match finding {
            Finding::Delivered => {}
            Finding::Deferred { .. } => job.leaves_some = true,
            Finding::Failed { .. } => job.has_failed = true,
        }
        self.release(delivery.job);
        let job = self.jobs.get(&delivery.job);
        Ok(Reported {
            ends_channel: job.is_some_and(|job| job.references == 0 && !job.leaves_some),
            delivery,
            finding,
        })
    }

    /// The spawner of a channel is gone: nobody knows how its deliveries end,
    /// so their recipients are tried again.
    pub fn lose(&mut self, channel: Channel) {
        let lane = self.lane(channel);
        lane.running = [0; 2];
        let lost: Vec<Delivery> = lane.slots.iter_mut().filter_map(Option::take).collect();
        for delivery in lost {
            self.leave_some(delivery.job);
            self.release(delivery.job);
        }
    }

    /// A recipient of this job has to be tried again after all, for example
    /// because its failure could not be written down.
    pub fn leave_some(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.leaves_some = true;
        }
    }

    /// The next thing to do, `None` until [`Scheduler::wake_at`] or until
    /// something happens.
    pub fn step(&mut self, now: i64) -> Option<Step> {
        self.notice_clock(now);
        if let Some(job) = self.closing.pop_front() {
            return self.close(job, now);
        }
        if self.stopping {
            return None;
        }
        // First, so that a backlog of starts does not keep what is done.
        if let Some((id, _)) = self.finishing.pop_due(now) {
            return Some(Step::Finish { id });
        }
        let first_tries = !self.detached;
        for channel in Channel::ALL {
            let lane = &mut self.lanes[channel.index()];
            // Held messages leave the due queue here, and the other turn may
            // have some that are not.
            while let Some(turn) = lane.turn(now, first_tries) {
                if let Some(job) = lane.passes[turn.index()] {
                    return Some(Step::Next { channel, job });
                }
                let Some((id, due)) = lane.due[turn.index()].pop_due(now) else {
                    break;
                };
                if self.holds.messages.contains(&id) {
                    self.parked.insert((channel, id), due);
                    continue;
                }
                lane.opening = (turn, due);
                return Some(Step::Open { channel, id });
            }
        }
        None
    }

    /// When [`Scheduler::step`] has something to do if nothing happens before.
    pub fn wake_at(&self) -> Option<i64> {
        if !self.closing.is_empty() {
            return Some(i64::MIN);
        }
        if self.stopping {
            return None;
        }
        let turns = self.lanes.iter().flat_map(|lane| {
            Turn::ALL
                .into_iter()
                .filter(|turn| lane.may_start(*turn))
                .filter(|turn| *turn == Turn::Again || !self.detached)
                .filter_map(|turn| lane.first(turn))
        });
        turns.chain(self.finishing.first()).min()
    }

    /// Says whether nothing runs, so that a stopping process may exit.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.running() == 0) && self.closing.is_empty()
    }

    /// Messages that wait on a channel and until when, to be remembered over
    /// a restart.
    pub fn waiting(&self, channel: Channel) -> impl Iterator<Item = (u64, i64)> {
        let parked = self.parked.iter();
        let parked = parked.filter(move |((on, _), _)| *on == channel);
        let due = &self.lanes[channel.index()].due;
        let waiting = due.iter().flat_map(DueQueue::iter);
        waiting.chain(parked.map(|((_, id), due)| (*id, *due)))
    }

    /// How many messages wait on a channel.
    pub fn waiting_count(&self, channel: Channel) -> usize {
        let due = &self.lanes[channel.index()].due;
        due.iter().map(DueQueue::len).sum()
    }

    /// The status line.
    pub fn status(&self) -> String {
        let mut line = "status:".to_owned();
        for channel in Channel::ALL {
            line += &self.lanes[channel.index()].status(channel);
        }
        if self.stopping {
            line += " exitasap";
        }
        line
    }

    fn close(&mut self, job: JobId, now: i64) -> Option<Step> {
        let state = self.jobs.remove(&job)?;
        let (channel, id) = (state.channel, state.id);
        let next = match self.hurried.remove(&(channel, id)) {
            true => now,
            false => state.next,
        };
        let end = match (state.leaves_some, state.is_single) {
            (false, false) => JobEnd::Done,
            (false, true) if state.has_failed => JobEnd::PutBack {
                due: now,
                is_done: true,
            },
            (false, true) => JobEnd::Delivered,
            (true, true) => JobEnd::PutBack {
                due: next,
                is_done: false,
            },
            (true, false) => {
                self.add(channel, id, next);
                JobEnd::Requeued { next }
            }
        };
        Some(Step::Close {
            job,
            channel,
            id,
            end,
        })
    }

    fn release(&mut self, job: JobId) {
        if let Some(state) = self.jobs.get_mut(&job) {
            state.references -= 1;
            if state.references == 0 {
                self.closing.push_back(job);
            }
        }
    }

    fn lane(&mut self, channel: Channel) -> &mut Lane {
        &mut self.lanes[channel.index()]
    }
}

#[cfg(test)]
mod tests;
