//! vdeliverd: delivers to virtual users without a process for each.

fn main() {}
