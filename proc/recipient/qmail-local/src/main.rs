//! qmail-local: delivers one message as its recipient.

fn main() {}
