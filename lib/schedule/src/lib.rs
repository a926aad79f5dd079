//! When qmail-send tries what: retries, concurrency, expiry, bounces, and the
//! words of its log (queue-and-delivery.md §4).
//!
//! Nothing here reads a clock, a file or a pipe. The driver says what
//! happened and what time it is; [`Scheduler::step`] says what to do next.
//! What is deliberately not here: the queue's files, and the protocols to the
//! spawners.

mod backlog;
mod bounce;
mod channel;
mod due;
mod holds;
mod lane;
mod line;
mod parse;
mod retry;
mod scheduler;

pub use backlog::Backlog;
pub use bounce::{
    Bounce, Notice, Report, Wording, break_line, delivery_status, final_report, paragraph,
};
pub use channel::Channel;
pub use holds::Holds;
pub use line::{Lines, Verdict};
pub use parse::{Fact, LogLine};
pub use retry::{LIFETIME_DEFAULT_SECONDS, is_expired, longest_wait, next_attempt};
pub use scheduler::{
    Delivery, Finding, Forgotten, JobEnd, JobId, Place, RETRY_TROUBLE_SECONDS, Reported, Scheduler,
    Started, Step, Unknown,
};
