//! qmail-send's mind: which message is opened, which recipient started, what
//! becomes of a message after a pass.
//!
//! Three things that are easily confused: a *slot* holds one running
//! delivery; a *pass* is the one file of recipients a channel reads at a
//! time; a *job* is a message on a channel from the start of its pass until
//! its last delivery reported.
//!
//! Invariant: a message is on a channel either in the due queue or as a job,
//! never both, so it is never tried twice at once.

mod operator;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use operator::{Forgotten, Place};

use crate::channel::Channel;
use crate::due::DueQueue;
use crate::holds::Holds;
use crate::retry::{is_expired, next_attempt};

/// After trouble with a file a message is looked at again this much later.
pub const RETRY_TROUBLE_SECONDS: i64 = 123;

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
    /// Read the next recipient; answer [`Scheduler::start`],
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
    /// Some are left; when the message is due is for the driver to remember
    /// ([`Scheduler::hand_over`]).
    HandedOver {
        /// Unix time of the next try.
        next: i64,
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

#[derive(Debug, Default)]
struct Lane {
    due: DueQueue,
    pass: Option<JobId>,
    slots: Vec<Option<Delivery>>,
    limit: usize,
    running: usize,
    /// By the control files.
    held: bool,
    /// By an operator.
    held_by_operator: bool,
    congested: bool,
    /// Since when the message that is being opened was due.
    opening: i64,
    /// When something held was last let go: what was due by then may be old
    /// only because it was held.
    released: Option<i64>,
}

#[derive(Debug)]
struct Job {
    id: u64,
    channel: Channel,
    next: i64,
    is_last_attempt: bool,
    /// Some recipient has to be tried again.
    leaves_some: bool,
    /// What is left does not go back into the due queue.
    is_handed_over: bool,
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
}

impl Scheduler {
    /// A scheduler with nothing to do, at most `limits` deliveries at once on
    /// the local and remote channel.
    pub fn new(limits: [usize; 2]) -> Self {
        let mut new = Self::default();
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
            lane.due.all_due(now);
            lane.released = Some(now);
        }
        changed
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

    /// Adds a message with recipients on a channel.
    pub fn add(&mut self, channel: Channel, id: u64, due: i64) {
        self.lane(channel).due.push(due, id);
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
            lane.due.all_due(now);
        }
        self.finishing.all_due(now);
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
        // What became too old on hold is not given up for that.
        let was_held = lane.released.is_some_and(|time| lane.opening <= time);
        self.jobs.insert(
            job,
            Job {
                id,
                channel,
                next: next_attempt(channel, birth, now),
                is_last_attempt: !was_held && is_expired(birth, now, lifetime_seconds),
                leaves_some: false,
                is_handed_over: false,
                references: 1,
            },
        );
        self.lane(channel).pass = Some(job);
        job
    }

    /// What a job leaves is the driver's: it will add the message again.
    pub fn hand_over(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.is_handed_over = true;
        }
    }

    /// The recipients of the message cannot be opened now.
    pub fn unavailable(&mut self, channel: Channel, id: u64, now: i64) {
        self.add(channel, id, now + RETRY_TROUBLE_SECONDS);
    }

    /// The next recipient of the pass is this one; it gets a slot.
    ///
    /// # Panics
    /// When [`Step::Next`] did not ask for it.
    pub fn start(&mut self, channel: Channel, recipient: Vec<u8>, offset: u64) -> Started {
        self.deliveries_started += 1;
        let number = self.deliveries_started;
        let lane = &mut self.lanes[channel.index()];
        let job = lane.pass.expect("a recipient was asked for");
        let slot = lane.free_slot().expect("a slot was free when asked");
        let state = self.jobs.get_mut(&job).expect("a pass has a job");
        state.references += 1;
        lane.running += 1;
        lane.slots[usize::from(slot)] = Some(Delivery {
            job,
            id: state.id,
            number,
            offset,
            recipient,
        });
        Started {
            slot,
            number,
            id: state.id,
        }
    }

    /// The pass has read its last recipient.
    pub fn exhausted(&mut self, channel: Channel) {
        if let Some(job) = self.lane(channel).pass.take() {
            self.release(job);
        }
    }

    /// The file of recipients cannot be read on; what is left waits.
    pub fn broken(&mut self, channel: Channel) {
        if let Some(job) = self.lane(channel).pass {
            self.leave_some(job);
            self.exhausted(channel);
        }
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
        lane.running -= 1;
        let job = self.jobs.get(&delivery.job).ok_or(Unknown)?;
        let finding = match outcome {
            crate::Verdict::Success => Finding::Delivered,
            crate::Verdict::Failure => Finding::Failed { expired: false },
            crate::Verdict::Deferral if job.is_last_attempt => Finding::Failed { expired: true },
            crate::Verdict::Deferral | crate::Verdict::Mangled => {
                Finding::Deferred { next: job.next }
            }
        };
        if matches!(finding, Finding::Deferred { .. }) {
            self.leave_some(delivery.job);
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
        lane.running = 0;
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
        for channel in Channel::ALL {
            let lane = &mut self.lanes[channel.index()];
            if !lane.may_start() {
                continue;
            }
            if let Some(job) = lane.pass {
                return Some(Step::Next { channel, job });
            }
            while let Some((id, due)) = lane.due.pop_due(now) {
                if self.holds.messages.contains(&id) {
                    self.parked.insert((channel, id), due);
                    continue;
                }
                lane.opening = due;
                return Some(Step::Open { channel, id });
            }
        }
        None
    }

    /// When [`Scheduler::step`] has something to do if nothing happens before.
    pub fn wake_at(&self) -> Option<i64> {
        if !self.closing.is_empty() {
            return Some(0);
        }
        if self.stopping {
            return None;
        }
        let lanes = self.lanes.iter().filter(|lane| lane.may_start());
        let starts = lanes.filter_map(|lane| match lane.pass {
            Some(_) => Some(0),
            None => lane.due.first(),
        });
        starts.chain(self.finishing.first()).min()
    }

    /// Says whether nothing runs, so that a stopping process may exit.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.running == 0) && self.closing.is_empty()
    }

    /// Messages that wait on a channel and until when, to be remembered over
    /// a restart.
    pub fn waiting(&self, channel: Channel) -> impl Iterator<Item = (u64, i64)> {
        let parked = self.parked.iter();
        let parked = parked.filter(move |((on, _), _)| *on == channel);
        let waiting = self.lanes[channel.index()].due.iter();
        waiting.chain(parked.map(|((_, id), due)| (*id, *due)))
    }

    /// How many messages wait on a channel.
    pub fn waiting_count(&self, channel: Channel) -> usize {
        self.lanes[channel.index()].due.len()
    }

    /// The status line.
    pub fn status(&self) -> String {
        let mut line = "status:".to_owned();
        for channel in Channel::ALL {
            let lane = &self.lanes[channel.index()];
            let held = if lane.is_held() { " (held)" } else { "" };
            line += &format!(" {channel} {}/{}{held}", lane.running, lane.limit);
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
        let end = match (state.leaves_some, state.is_handed_over) {
            (false, _) => JobEnd::Done,
            (true, true) => JobEnd::HandedOver { next },
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

impl Lane {
    fn may_start(&self) -> bool {
        !self.is_held()
            && !self.congested
            && self.running < self.limit
            && self.free_slot().is_some()
    }

    fn is_held(&self) -> bool {
        self.held || self.held_by_operator
    }

    fn free_slot(&self) -> Option<u16> {
        let slots = self.slots.iter().take(self.limit);
        let free = slots.enumerate().find(|(_, slot)| slot.is_none());
        free.and_then(|(number, _)| u16::try_from(number).ok())
    }
}

#[cfg(test)]
mod tests;
