//! qmail-smtpd: takes mail from the network.

fn main() {}
