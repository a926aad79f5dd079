//! SMTP sessions without sockets, both sides.

pub mod server;
