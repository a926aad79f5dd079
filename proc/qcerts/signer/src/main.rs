//! signer: signs with private keys for processes that may not read them.

fn main() {}
