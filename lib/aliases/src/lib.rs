//! Forwarding tables (fastforward(1)) and the files they are made from,
//! without executing anything.
//!
//! - [`Command`]: what one entry of a table asks for, and how a value holds
//!   several.
//! - [`source`]: the format of setforward(1), read and printed.
//! - [`sendmail`]: sendmail's `aliases`, `:include:` and `.forward` files.
//! - [`list`]: the members of a mailing list, as text and as setmaillist(1)
//!   compiles them.
//! - [`expand`]: what a table makes of one recipient.
//!
//! Tables and lists are written by administrators, `.forward` files by users,
//! and addresses by anybody. Invariants: no address reaches a table as a
//! command; expansion ends, whatever the tables say; nothing here opens a
//! file.

mod command;
mod expand;
pub mod list;
mod record;
pub mod sendmail;
pub mod source;

pub use command::{ADDRESS_BYTES_MAX, Command, commands};
pub use expand::{ExpandError, Expansion, RECIPIENTS_MAX, Tables, Task, expand};
pub use record::Record;

/// A line of a file that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}
