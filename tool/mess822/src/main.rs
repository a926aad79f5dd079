//! mess822: injection: qmail-inject, sendmail and the header tools.

fn main() {}
