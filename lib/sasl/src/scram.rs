//! The arithmetic of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677).

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Length of every key, proof and signature.
pub const KEY_BYTES: usize = 32;
/// Iterations a client refuses to do less of (RFC 7677 §4).
pub const ITERATIONS_MIN: u32 = 4096;
/// Iterations a client refuses to do more of: a hostile server must not keep
/// it busy for minutes.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// What a server keeps of a password.
#[derive(Clone, Eq, PartialEq)]
pub struct Keys {
    /// StoredKey: verifies proofs.
    pub stored_key: [u8; KEY_BYTES],
    /// ServerKey: proves to the client that we know it.
    pub server_key: [u8; KEY_BYTES],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Derives the keys from a password.
pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Keys {
    let mut salted = salted_password(password, salt, iterations);
    let mut client_key = hmac(&salted, b"Client Key");
    let keys = Keys {
        stored_key: Sha256::digest(client_key).into(),
        server_key: hmac(&salted, b"Server Key"),
    };
    salted.zeroize();
    client_key.zeroize();
    keys
}

/// Checks a client's proof. The server signature when it is right; takes the
/// same time either way.
pub fn verify(keys: &Keys, auth_message: &[u8], proof: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let signature = hmac(&keys.stored_key, auth_message);
    let proof: [u8; KEY_BYTES] = proof.try_into().ok()?;
    let client_key = xor(proof, signature);
    let stored: [u8; KEY_BYTES] = Sha256::digest(client_key).into();
    let right = bool::from(stored.ct_eq(&keys.stored_key));
    let server = hmac(&keys.server_key, auth_message);
    right.then_some(server)
}

/// The proof of a client that knows the password, and the signature it must
/// get back.
pub fn prove(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    auth_message: &[u8],
) -> ([u8; KEY_BYTES], [u8; KEY_BYTES]) {
    let salted = salted_password(password, salt, iterations);
    let client_key = hmac(&salted, b"Client Key");
    let stored: [u8; KEY_BYTES] = Sha256::digest(client_key).into();
    let server_key = hmac(&salted, b"Server Key");
    let proof = xor(client_key, hmac(&stored, auth_message));
    (proof, hmac(&server_key, auth_message))
}

fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; KEY_BYTES] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, KEY_BYTES>(password, salt, iterations)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn xor(mut a: [u8; KEY_BYTES], b: [u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_convinces_only_with_the_right_password() {
        let keys = derive(b"pencil", b"salt", 4096);
        let (proof, server) = prove(b"pencil", b"salt", 4096, b"message");
        assert_eq!(verify(&keys, b"message", &proof), Some(server));
        assert_eq!(verify(&keys, b"other", &proof), None);
        let (proof, _) = prove(b"pen", b"salt", 4096, b"message");
        assert_eq!(verify(&keys, b"message", &proof), None);
        assert_eq!(verify(&keys, b"message", b"short"), None);
    }
}
