//! the load of the benchmark, against us and against Postfix

fn main() {}
