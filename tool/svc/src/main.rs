//! svc: control of supervised services, and the small programs run scripts use.

fn main() {}
