//! qmail-queued: puts messages into the queue for programs that send many.

fn main() {}
