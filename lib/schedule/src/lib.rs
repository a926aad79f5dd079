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
mod rates;
mod report;
mod retry;
mod scheduler;
mod status;

pub use backlog::Backlog;
pub use bounce::{Bounce, Notice, final_report, is_final, notice_recipient, paragraph};
pub use channel::Channel;
pub use holds::Holds;
pub use line::{Lines, Verdict};
pub use parse::{Fact, LogLine};
pub use rates::{BadRate, Rate, Usage};
pub use report::{Charset, Copied, Form, News, Report, Wording};
pub use retry::{LIFETIME_DEFAULT_SECONDS, is_expired, longest_wait, next_attempt};
pub use scheduler::{
    Delivery, Finding, Forgotten, JobEnd, JobId, RETRY_TROUBLE_SECONDS, Reported, Scheduler,
    Started, Step, Unknown,
};
pub use status::{Action, Fate};
