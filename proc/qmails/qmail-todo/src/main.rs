//! qmail-todo: sorts the recipients of new messages.

fn main() {}
