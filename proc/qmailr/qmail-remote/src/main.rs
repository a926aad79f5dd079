//! qmail-remote: delivers one message to another mail server.

fn main() {}
