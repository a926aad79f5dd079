//! rustls behind our own small interface; private keys stay in the signer.
