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

mod controls;
mod operator;
mod step;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use operator::Forgotten;
pub use step::{Delivery, Finding, JobEnd, JobId, Reported, Started, Step, Unknown};

use crate::channel::Channel;
use crate::due::DueQueue;
use crate::holds::Holds;
use crate::lane::{Lane, Turn};
use crate::retry::{LIFETIME_DEFAULT_SECONDS, is_expired, next_attempt};

/// After trouble with a file a message is looked at again this much later.
pub const RETRY_TROUBLE_SECONDS: i64 = 123;

#[derive(Debug)]
struct Job {
    id: u64,
    channel: Channel,
    next: i64,
    is_last_attempt: bool,
    turn: Turn,
    /// Some recipient has to be tried again.
    leaves_some: bool,
    /// Some recipient must not have it before then.
    postponed: Option<i64>,
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
    /// Messages with recipients whose domain has had its share.
    delayed: BTreeSet<(Channel, u64)>,
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
        self.delayed.remove(&(channel, id));
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
                postponed: None,
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
            ends_channel: job.is_some_and(|job| {
                job.references == 0 && !job.leaves_some && job.postponed.is_none()
            }),
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

    /// The next recipient of the job must not have the message before
    /// `until`: its domain has had its share. Says whether the message was
    /// not delayed before.
    pub fn postpone(&mut self, job: JobId, until: i64) -> bool {
        let Some(job) = self.jobs.get_mut(&job) else {
            return false;
        };
        job.postponed = Some(job.postponed.map_or(until, |known| known.min(until)));
        self.delayed.insert((job.channel, job.id))
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
        if !self.delayed.is_empty() {
            line += &format!(" delayed jobs={}", self.delayed.len());
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
            false => match state.postponed {
                None => state.next,
                Some(until) if state.leaves_some => until.min(state.next),
                Some(until) => until,
            },
        };
        let leaves_some = state.leaves_some || state.postponed.is_some();
        let end = match (leaves_some, state.is_single) {
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
