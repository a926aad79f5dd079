//! multilog: writes lines to log directories that stay small.

fn main() {}
