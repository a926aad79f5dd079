//! qmail-getpw: maps a local part to a system user.

fn main() {}
