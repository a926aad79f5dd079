//! queue: looks at the queue and its tables.

fn main() {}
