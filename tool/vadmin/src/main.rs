//! vadmin: administration of virtual domains and users.

fn main() {}
