//! POP3 sessions without sockets (RFC 1939, RFC 2449, RFC 2595, RFC 5034).
//!
//! A [`Session`] is fed bytes and says what to do next; [`Body`] turns stored
//! messages into what goes over the wire. APOP is not offered: it needs the
//! password itself on disk. Deletions happen at QUIT and nowhere else.

mod body;
mod capability;
mod command;
mod maildrop;
mod session;

pub use body::Body;
pub use command::{COMMAND_BYTES_MAX, Command, SyntaxError};
pub use maildrop::{Entry, Update};
pub use session::{
    ERRORS_MAX, Encryption, FAILURES_MAX, LINE_BYTES_MAX, Offer, Opened, Session, Step,
};
