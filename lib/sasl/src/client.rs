//! Authentication as the client sees it: what to say to other servers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{cram, scram};

/// Why a server's message is not acceptable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The message is not what SCRAM prescribes.
    #[error("the server's SCRAM message is malformed")]
    Malformed,
    /// Our nonce is not at the start of the server's.
    #[error("the server's nonce does not continue ours")]
    Nonce,
    /// Too few iterations protect nobody, too many keep us busy.
    #[error("the server wants {0} iterations")]
    Iterations(u32),
    /// The server does not know the password either.
    #[error("the server's signature is wrong")]
    Signature,
}

/// The one message of PLAIN (RFC 4616).
pub fn plain(user: &[u8], password: &[u8]) -> Vec<u8> {
    [b"\0", user, b"\0", password].concat()
}

/// The two messages of LOGIN, in the order the server asks for them.
pub fn login(user: &[u8], password: &[u8]) -> [Vec<u8>; 2] {
    [user.to_vec(), password.to_vec()]
}

/// CRAM-MD5 (RFC 2195).
pub struct CramMd5 {
    user: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
}

impl CramMd5 {
    /// Prepares to answer one challenge.
    pub fn new(user: &[u8], password: &[u8]) -> Self {
        Self {
            user: user.to_vec(),
            password: Zeroizing::new(password.to_vec()),
        }
    }

    /// The response to the server's challenge.
    pub fn respond(&self, challenge: &[u8]) -> Vec<u8> {
        let digest = cram::digest(&self.password, challenge);
        [&self.user[..], b" ", digest.as_bytes()].concat()
    }
}

/// SCRAM-SHA-256 (RFC 7677) without channel binding. Call
/// [`ScramSha256::first`], [`ScramSha256::last`] and
/// [`ScramSha256::verify`] in this order.
pub struct ScramSha256 {
    user: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    nonce: String,
    signature: [u8; scram::KEY_BYTES],
}

impl ScramSha256 {
    /// Prepares one authentication. `nonce` is random, printable and has no
    /// comma.
    pub fn new(user: &[u8], password: &[u8], nonce: &str) -> Self {
        Self {
            user: user.to_vec(),
            password: Zeroizing::new(password.to_vec()),
            nonce: nonce.to_owned(),
            signature: [0; scram::KEY_BYTES],
        }
    }

    /// The first message.
    pub fn first(&self) -> Vec<u8> {
        [b"n,,", &self.first_bare()[..]].concat()
    }

    /// The final message, made from the server's first.
    pub fn last(&mut self, server_first: &[u8]) -> Result<Vec<u8>, Error> {
        let text = std::str::from_utf8(server_first).map_err(|_| Error::Malformed)?;
        let mut fields = text.split(',');
        let mut field = |name| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name))
                .ok_or(Error::Malformed)
        };
        let (nonce, salt, iterations) = (field("r=")?, field("s=")?, field("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Error::Nonce);
        }
        let salt = STANDARD.decode(salt).map_err(|_| Error::Malformed)?;
        let iterations = iterations.parse().map_err(|_| Error::Malformed)?;
        if !(scram::ITERATIONS_MIN..=scram::ITERATIONS_MAX).contains(&iterations) {
            return Err(Error::Iterations(iterations));
        }
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = [
            &self.first_bare()[..],
            b",",
            server_first,
            b",",
            without_proof.as_bytes(),
        ]
        .concat();
        let (proof, signature) = scram::prove(&self.password, &salt, iterations, &auth_message);
        self.signature = signature;
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }

    /// Checks that the server's final message proves the server, too.
    pub fn verify(&self, server_last: &[u8]) -> Result<(), Error> {
        let signature = server_last.strip_prefix(b"v=").ok_or(Error::Signature)?;
        let signature = STANDARD.decode(signature).map_err(|_| Error::Malformed)?;
        match bool::from(signature.ct_eq(&self.signature)) {
            true => Ok(()),
            false => Err(Error::Signature),
        }
    }

    fn first_bare(&self) -> Vec<u8> {
        let mut bare = b"n=".to_vec();
        for &byte in &self.user {
            match byte {
                b',' => bare.extend_from_slice(b"=2C"),
                b'=' => bare.extend_from_slice(b"=3D"),
                byte => bare.push(byte),
            }
        }
        bare.extend_from_slice(format!(",r={}", self.nonce).as_bytes());
        bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let mut client = ScramSha256::new(b"user", b"pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(client.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = client.last(server).unwrap();
        assert_eq!(
            String::from_utf8(last).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let proof = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(client.verify(proof), Ok(()));
        assert_eq!(client.verify(b"e=other-error"), Err(Error::Signature));
    }

    #[test]
    fn a_server_that_cheats_is_found_out() {
        let mut client = ScramSha256::new(b"user", b"pencil", "abc");
        assert_eq!(client.last(b"r=xyz1,s=AA==,i=4096"), Err(Error::Nonce));
        assert_eq!(client.last(b"r=abc1,s=AA==,i=1"), Err(Error::Iterations(1)));
        assert_eq!(client.last(b"nonsense"), Err(Error::Malformed));
    }
}
