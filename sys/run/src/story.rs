//! The story of a message, as its trace events tell it.
//!
//! The events lie in `log/trace`, written by the collector through multilog:
//! lines of a TAI64N label and a JSON object. [`read_events`] reads what is
//! there, [`Follower`] what is being added, and [`Story`] puts the events of
//! one message together and into words.

mod follower;
mod read;
mod search;
mod telling;

pub use follower::Follower;
pub use read::{Filter, StoryError, log_files, parse_event, read_events, read_line, visit};
pub use search::find;
pub use telling::{Story, Verdict, stories};
