//! svscan: starts and watches one supervise for each service directory.

fn main() {}
