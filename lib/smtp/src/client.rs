//! One SMTP session as the client sees it (RFC 5321), without a socket.
//!
//! The driver hands over bytes with [`Session::receive`], calls
//! [`Session::step`] and does what it says until [`Step::Done`]; then
//! [`Session::outcome`] tells what became of the message. When the connection
//! breaks or a timer runs out the driver calls [`Session::broken`].
//!
//! Invariants: nothing the server says is taken for an answer to something we
//! have not said yet once TLS is being started, so a reply slipped in before
//! the handshake ends the session; no byte of the message becomes a command.

mod auth;
mod extensions;
mod path;
mod reply;
mod session;
#[cfg(test)]
mod tests;
mod text;

pub use auth::{Credentials, MechanismChoice};
pub use extensions::Extensions;
pub use path::{Path, PathError};
pub use reply::{Reply, ReplyError, ReplyReader};
pub use session::{Encryption, End, Outcome, Plan, Session, Stage, Step};
pub use text::TextEncoder;

pub use sasl::Mechanism;
