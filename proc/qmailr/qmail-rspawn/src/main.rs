//! qmail-rspawn: starts remote deliveries.

fn main() {}
