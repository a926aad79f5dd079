//! SMTP sessions without sockets, both sides.

pub mod client;
pub mod server;
