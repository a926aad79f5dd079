//! qmail-lspawn: starts local deliveries, each as its recipient.

fn main() {}
