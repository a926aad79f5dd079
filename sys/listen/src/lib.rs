//! Sockets, TLS, limits and users of a network daemon; nothing of any
//! protocol.
//!
//! A daemon reads its [`Options`], [`open`]s its sockets and becomes its user,
//! closes its sandbox, and only then starts a runtime and lets a [`House`]
//! take clients in. Questions about users go through [`Inlookup`], handshakes
//! through [`Handshakes`], so that neither a full house, nor a slow lookup, nor
//! a signer that hangs makes other sessions wait.

mod announced;
mod certificates;
mod handshake;
mod house;
mod lookup;
mod open;
mod options;
mod pipe;
mod places;
mod visit;

pub use announced::{Announced, announced};
pub use certificates::Certificates;
pub use handshake::Handshakes;
pub use house::{Full, Guest, House};
pub use lookup::{Inlookup, Lookup, Secrets};
pub use open::{OpenError, open, raise_descriptor_limit};
pub use options::{Options, TlsMode, Value};
pub use pipe::{Pipe, Pipes};
pub use places::{Place, Places};
pub use visit::{End, Visit};
