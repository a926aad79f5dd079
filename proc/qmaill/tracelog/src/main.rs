//! tracelog: collects the trace events of all processes.

fn main() {}
