//! What the scheduler and its driver say to each other.

use crate::Channel;

/// Identifies a job of this process.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub(super) u64);

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Open the recipients of a message; answer [`super::Scheduler::opened`],
    /// [`super::Scheduler::unavailable`] or, when the file is gone, nothing.
    Open {
        /// Which file of recipients.
        channel: Channel,
        /// Which message.
        id: u64,
    },
    /// Read the next recipient of a job; answer [`super::Scheduler::start`],
    /// [`super::Scheduler::exhausted`] or [`super::Scheduler::broken`].
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
    /// now, [`super::Scheduler::finish_later`].
    Finish {
        /// Which message.
        id: u64,
    },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobEnd {
    /// No recipient is left on this channel: remove its file, and when the
    /// other channel has none either, [`super::Scheduler::finish`].
    Done,
    /// Some are left; the message waits in the due queue already.
    Requeued {
        /// Until then.
        next: i64,
    },
    /// The single recipient has the message ([`super::Scheduler::is_single`]):
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
