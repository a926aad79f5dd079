//! TLS for servers and clients: rustls behind our own small interface.
//!
//! A server made by [`server_config`] holds no private key. It asks the signer
//! process (`wire::sign`) for the certificate chain, and again for each
//! signature of a handshake. A hole in a daemon that parses the network can
//! then misuse a key while it lasts, and not steal it.
//!
//! TLS 1.2 is the oldest version spoken, without renegotiation.

mod certificate;
mod client;
mod connect;
mod key;
mod server;

pub use certificate::{Certificate, expiry, names, self_signed};
pub use client::{Verify, client_config};
pub use connect::{HandshakeError, connect};
pub use key::{DkimKey, LocalKey};
pub use server::server_config;

/// The library itself, for what this interface does not wrap.
pub use rustls;
/// TLS sessions on tokio, and the types their callers name.
pub use tokio_rustls::{
    TlsAcceptor, TlsConnector, client::TlsStream as ClientStream, server::TlsStream as ServerStream,
};

use std::path::PathBuf;

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signer cannot be reached or speaks strangely.
    #[error("no certificate from the signer")]
    Signer(#[from] run::LinkError),
    /// The signer has no such key.
    #[error("the signer refuses {key}: {text}")]
    Refused {
        /// The name we asked for.
        key: String,
        /// Its words.
        text: String,
    },
    /// A PEM file cannot be read.
    #[error("cannot read {path}; check that it exists and its permissions")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A PEM file has no certificate or no private key, or they are broken.
    #[error("bad certificate or key: {0}")]
    Pem(String),
    /// No list of trusted authorities was found.
    #[error("no trusted certificate authorities found; install ca-certificates or name a bundle")]
    Roots,
    /// rustls refuses the combination.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Create(String),
}

impl run::Fatal for Error {}

/// The cryptography all configurations use.
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}
