//! DKIM signatures by a key that this process holds (RFC 6376, RFC 8463).

use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256, SigningKey};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::SIGNED_FIELDS;

/// Shortest public RSA key, encoded, that is worth anything: one of 1024 bits
/// (RFC 8301 §3.2).
const RSA_BYTES_MIN: usize = 136;

/// Why there is no signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// It is no private key.
    Malformed,
    /// Anybody could forge it.
    TooShort,
    /// The message has no header.
    Message(String),
}

/// How to sign.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// The header as it is, and not with its white space evened out.
    pub simple_header: bool,
    /// The body as it is.
    pub simple_body: bool,
    /// On whose behalf (`i=`).
    pub identity: Option<String>,
    /// For how many seconds.
    pub seconds: Option<u64>,
}

/// A private key.
pub struct OwnKey(Kind);

enum Kind {
    Rsa(RsaKey<Sha256>),
    Ed25519(Ed25519Key),
}

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

impl OwnKey {
    /// Reads a PEM text with an RSA or Ed25519 key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?;
        if let PrivateKeyDer::Pkcs8(der) = &key
            && let Ok(key) = Ed25519Key::from_pkcs8_der(der.secret_pkcs8_der())
        {
            return Ok(Self(Kind::Ed25519(key)));
        }
        let key = RsaKey::from_key_der(key).map_err(|_| KeyError::Malformed)?;
        match RSA_BYTES_MIN <= key.public_key().len() {
            true => Ok(Self(Kind::Rsa(key))),
            false => Err(KeyError::TooShort),
        }
    }

    /// The field that goes before a message whose lines end in CR LF; it ends
    /// so, too.
    pub fn sign(
        self,
        message: &[u8],
        domain: &str,
        selector: &str,
        style: &Style,
    ) -> Result<Vec<u8>, KeyError> {
        match self.0 {
            Kind::Rsa(key) => field(key, message, domain, selector, style),
            Kind::Ed25519(key) => field(key, message, domain, selector, style),
        }
    }
}

fn field(
    key: impl SigningKey,
    message: &[u8],
    domain: &str,
    selector: &str,
    style: &Style,
) -> Result<Vec<u8>, KeyError> {
    let how = |is_simple| match is_simple {
        true => Canonicalization::Simple,
        false => Canonicalization::Relaxed,
    };
    let mut signer = DkimSigner::from_key(key)
        .domain(domain)
        .selector(selector)
        .headers(SIGNED_FIELDS)
        .header_canonicalization(how(style.simple_header))
        .body_canonicalization(how(style.simple_body))
        .expiration(style.seconds.unwrap_or(0));
    if let Some(identity) = &style.identity {
        signer = signer.agent_user_identifier(identity);
    }
    let signature = signer
        .sign(message)
        .map_err(|error| KeyError::Message(error.to_string()))?;
    Ok(signature.to_header().into_bytes())
}
