//! qmail-daemon: runs one qmail-start for each queue.

fn main() {}
