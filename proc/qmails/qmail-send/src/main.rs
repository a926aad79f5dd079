//! qmail-send: decides what is delivered when.

fn main() {}
