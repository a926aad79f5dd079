//! inlookup: answers questions about users and checks their passwords.

fn main() {}
