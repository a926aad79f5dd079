//! rustls behind our own small interface; private keys stay in the signer.

pub mod client;
