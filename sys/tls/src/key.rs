//! A private key in this process: what the signer holds.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::SigningKey;
use wire::sign::{DKIM_BYTES_MAX, Reply, TO_SIGN_BYTES_MAX};

use crate::{Certificate, Error};

/// Every scheme a key may sign with, preferred first; TLS 1.2 and 1.3.
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// A key that signs mail.
#[derive(Debug)]
pub struct DkimKey(Arc<dyn SigningKey>);

impl DkimKey {
    /// Reads a PEM text with an RSA key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        use rustls_pki_types::pem::PemObject;
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| Error::Pem(error.to_string()))?;
        let key = any_supported_type(&key)?;
        match key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]) {
            Some(_) => Ok(Self(key)),
            None => Err(Error::Pem("DKIM needs an RSA key".to_owned())),
        }
    }

    /// Signs with rsa-sha256.
    pub fn sign(&self, message: &[u8]) -> Reply {
        if DKIM_BYTES_MAX < message.len() {
            return Reply::Refused("too much to sign for DKIM".into());
        }
        match self.0.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]) {
            None => Reply::Refused("DKIM needs an RSA key".into()),
            Some(signer) => signer
                .sign(message)
                .map_or_else(|error| Reply::Refused(error.to_string()), Reply::Signature),
        }
    }
}

/// A key with its certificates.
#[derive(Debug)]
pub struct LocalKey {
    chain: Vec<Vec<u8>>,
    key: Arc<dyn SigningKey>,
}

impl LocalKey {
    /// Reads a PEM text with chain and key; they must belong together.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let Certificate { chain, key } = Certificate::from_pem(pem)?;
        let key = any_supported_type(&key)?;
        rustls::sign::CertifiedKey::new(chain.clone(), Arc::clone(&key)).keys_match()?;
        let chain = chain.iter().map(|der| der.to_vec()).collect();
        Ok(Self { chain, key })
    }

    /// The public half, as the signer tells it.
    pub fn describe(&self) -> Reply {
        let schemes = SCHEMES
            .into_iter()
            .filter(|&scheme| self.key.choose_scheme(&[scheme]).is_some())
            .map(u16::from)
            .collect();
        Reply::Key {
            chain: self.chain.clone(),
            schemes,
            algorithm: u8::from(self.key.algorithm()),
        }
    }

    /// Signs what a handshake needs signed.
    pub fn sign(&self, scheme: u16, message: &[u8]) -> Reply {
        if TO_SIGN_BYTES_MAX < message.len() {
            return Reply::Refused("too much to sign for a TLS handshake".into());
        }
        let scheme = SignatureScheme::from(scheme);
        match self.key.choose_scheme(&[scheme]) {
            None => Reply::Refused(format!("the key does not sign with {scheme:?}")),
            Some(signer) => signer
                .sign(message)
                .map_or_else(|error| Reply::Refused(error.to_string()), Reply::Signature),
        }
    }
}
