//! ucspi: rules for network services: tcprules, tcprulescheck.

fn main() {}
