//! vdelivermail: delivers one message to a virtual user.

fn main() {}
