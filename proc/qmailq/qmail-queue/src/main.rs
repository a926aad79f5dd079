//! qmail-queue: puts one message into the queue.

fn main() {}
