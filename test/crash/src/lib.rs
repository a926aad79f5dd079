//! The proof that nothing is lost: the queue's and the Maildir's own code on
//! a model of a disk that loses power at every moment.
//!
//! [`Model`] is a file system in memory that writes down every change and
//! every sync. [`Log`] builds from that what a disk may hold after a power
//! cut. [`Engine`] is the mail system in one thread: the code of the crates
//! `queue`, `maildir` and `schedule` that qmail-queue, qmail-todo, qmail-clean
//! and qmail-send run, without what they log and whom they ask. [`check`] runs it on such
//! a disk and says whether a promise was broken.
//!
//! A proof that notices nothing is none: each [`Protection`] (one kind of
//! sync, the wait of a spare file) is taken away once, and a test sees that
//! some power cut then breaks a promise. The order of steps is in the code
//! that runs here (`queue::Writer`, `sort`, `Batch`, `Outcomes`, `clean`), so
//! that another order is another outcome: an envelope linked before its text is
//! synced, for one, ends in zeros instead of mail.
//!
//! What is not here: the processes, pipes and users around those steps; they
//! are killed for real elsewhere.

mod check;
mod engine;
mod explore;
mod log;
mod model;
mod protection;
mod scenario;

pub use check::{Broken, Fact, check};
pub use engine::Engine;
pub use explore::{Report, crashes, faults};
pub use log::{Journal, Log};
pub use model::{Fault, Model, Tree};
pub use protection::{PROTECTIONS, Protection};
pub use scenario::{SCENARIOS, Scenario};
