//! SMTP sessions without sockets, both sides.
