//! DKIM signatures for what this site sends (RFC 6376), made by a key that is
//! somewhere else.

use mail_auth::common::crypto::{Algorithm, CryptoError, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter, Writable, Writer};
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};

/// Fields that are signed; those a message lacks are signed as absent, and
/// `From` once more than it is there, so that nobody can add another.
pub const SIGNED_FIELDS: [&str; 22] = [
    "From",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Resent-From",
];

/// Signs bytes with rsa-sha256; the private key is its own business.
pub trait Signer {
    /// The signature, or why there is none.
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, String>;
}

/// A message being signed.
pub struct Signed<S: Signer> {
    signer: DkimSigner<Key<S>, Done>,
    pieces: Vec<u8>,
}

struct Key<S>(S);

struct Collected(Vec<u8>);

impl Writer for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl<S: Signer> SigningKey for Key<S> {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        let mut collected = Collected(Vec::new());
        input.write(&mut collected);
        self.0
            .sign(&collected.0)
            .map_err(|text| mail_auth::Error::Crypto(CryptoError::Library(text)))
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaSha256
    }
}

impl<S: Signer> Signed<S> {
    /// A signature of `domain`, by the key whose record is at
    /// `selector._domainkey.domain`.
    pub fn new(signer: S, domain: &str, selector: &str) -> Self {
        let signer = DkimSigner::from_key(Key(signer))
            .domain(domain)
            .selector(selector)
            .headers(SIGNED_FIELDS)
            .header_canonicalization(Canonicalization::Relaxed)
            .body_canonicalization(Canonicalization::Relaxed);
        Self {
            signer,
            pieces: Vec::new(),
        }
    }

    /// Signs a message that comes in pieces, as it goes over the wire (lines
    /// ending in CR LF). The field `DKIM-Signature`, ending in CR LF.
    pub fn sign<E>(
        mut self,
        mut next: impl FnMut(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<Result<Vec<u8>, String>, E> {
        let mut stream = self.signer.sign_streaming();
        loop {
            self.pieces.clear();
            let more = next(&mut self.pieces)?;
            stream.write(&self.pieces);
            if !more {
                break;
            }
        }
        Ok(match stream.finish() {
            Ok(signature) => Ok(signature.to_header().into_bytes()),
            Err(error) => Err(error.to_string()),
        })
    }
}
