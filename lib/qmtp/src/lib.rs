//! QMTP and QMQP as servers speak them, without sockets
//! (smtp-receiving.md §7).
//!
//! Both carry a message, its sender and its recipients as netstrings and
//! answer with netstrings whose first byte is `K`, `Z` or `D`. The driver hands
//! over bytes with `receive`, then calls `step` and does what it says until it
//! says `Wait`; questions are answered before the next step. Messages flow by
//! in pieces; addresses are kept, and there may be only so many.

mod input;
pub mod qmqp;
pub mod qmtp;

pub use input::Fault;

/// Longest netstring.
pub const NETSTRING_BYTES_MAX: u64 = 200_000_000;
/// Longest address.
pub const ADDRESS_BYTES_MAX: u64 = 999;

/// A verdict as clients read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// Taken.
    Taken(String),
    /// Not now.
    Later(String),
    /// Never.
    Never(String),
}

impl Report {
    /// Appends it as a netstring.
    fn append(&self, out: &mut Vec<u8>) {
        let (letter, text) = match self {
            Self::Taken(text) => ('K', text),
            Self::Later(text) => ('Z', text),
            Self::Never(text) => ('D', text),
        };
        text::netstring::append(out, format!("{letter}{text}").as_bytes());
    }
}
