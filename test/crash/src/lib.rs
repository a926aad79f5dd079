//! The proof that nothing is lost: the queue's and the Maildir's own code on
//! a model of a disk that loses power at every moment.
//!
//! [`Model`] is a file system in memory that writes down every change and
//! every sync. [`Log`] builds from that what a disk may hold after a power
//! cut. [`Engine`] is the mail system in one thread: its steps are those of
//! the crates `queue`, `maildir` and `schedule`, in the order in which
//! qmail-todo, qmail-clean and qmail-send take them. [`check`] runs it on such
//! a disk and says whether a promise was broken.
//!
//! What is not here: the processes, pipes and users around those steps; they
//! are killed for real elsewhere.

mod check;
mod engine;
mod explore;
mod log;
mod model;
mod scenario;

pub use check::{Broken, Fact, check};
pub use engine::Engine;
pub use explore::{Report, crashes, faults};
pub use log::{Journal, Log};
pub use model::{Fault, Model, Tree};
pub use scenario::{SCENARIOS, Scenario};
