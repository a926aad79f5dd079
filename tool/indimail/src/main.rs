//! indimail: the one command of an administrator: quickstart, check, status, trace, uninstall.

fn main() {}
