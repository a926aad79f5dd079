//! The private protocols between our programs, one module a pipe.
//!
//! Two programs share nothing but this crate and `sys/*`. Protocols the guide
//! documents keep their bytes (`spawn`, `todo`, `clean`); the others are
//! [`frame`]s: a length, a version byte and a typed value, so that a reader
//! refuses what it does not know instead of guessing.
//!
//! Nothing that arrives is trusted: every decoder has a limit and returns an
//! error for what it cannot be sure of.

pub mod admin;
pub mod clean;
pub mod deliver;
pub mod dsn;
pub mod explain;
pub mod fifo;
pub mod frame;
pub mod lookup;
pub mod operator;
pub mod queue;
pub mod sign;
pub mod spawn;
pub mod todo;
pub mod trace;
pub mod verify;
