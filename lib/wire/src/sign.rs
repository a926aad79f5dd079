//! TLS servers ↔ the signer, which alone reads private keys.
//!
//! A client asks for a key by name and gets the certificate chain; during a
//! handshake it sends the bytes to be signed. The signer refuses names it was
//! not started with.

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 1;
/// Most bytes a TLS handshake ever asks to have signed.
pub const TO_SIGN_BYTES_MAX: usize = 4096;

/// From a TLS server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// Which certificate goes with this key, and how does it sign?
    Describe {
        /// Name of the PEM file, like `servercert.pem`.
        key: String,
    },
    /// Sign these bytes.
    Sign {
        /// Name of the PEM file.
        key: String,
        /// TLS SignatureScheme number (RFC 8446 §4.2.3).
        scheme: u16,
        /// What is signed.
        #[serde(with = "serde_bytes")]
        message: Vec<u8>,
    },
}

/// From the signer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Reply {
    /// Answer to `Describe`.
    Key {
        /// Certificates in DER, the leaf first.
        chain: Vec<Vec<u8>>,
        /// Schemes the key can sign with, preferred first.
        schemes: Vec<u16>,
        /// TLS SignatureAlgorithm number: 1 RSA, 3 ECDSA, 7 Ed25519.
        algorithm: u8,
    },
    /// Answer to `Sign`.
    Signature(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Why not.
    Refused(String),
}
