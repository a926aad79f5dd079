//! qmail-start: starts the processes of one queue, each as its own user.

fn main() {}
