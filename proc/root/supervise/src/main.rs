//! supervise: keeps one service running.

fn main() {}
