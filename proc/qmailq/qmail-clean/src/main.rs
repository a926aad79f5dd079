//! qmail-clean: removes queue files for qmail-send and qmail-todo.

fn main() {}
