//! Secrets for SCRAM and CRAM: column `scram` (virtual-domains.md §5.5).
//!
//! The column holds one of
//! - `{SCRAM-SHA-256}ITER,SALT,STOREDKEY,SERVERKEY`: enough for SCRAM, worth
//!   little to a thief,
//! - the same with `:HEXSALTEDPASSWORD:CLEARTEXT` behind it: for CRAM too,
//! - `{CRAM}CLEARTEXT`: for CRAM only.
//!
//! SCRAM with other hashes, written by others, is kept; only the clear text
//! behind it is used.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::Error;
use crate::value::SCRAM_BYTES_MAX;

/// Iterations of new secrets (RFC 7677 §4 asks for at least these).
pub const ITERATIONS_DEFAULT: u32 = 4096;
/// Most iterations of a new secret; clients do them at every login.
pub const ITERATIONS_MAX: u32 = 1_000_000;
/// Bytes of the salt of new secrets, and of false ones.
pub const SALT_BYTES: usize = 16;
/// Most bytes of a salt that is read.
const SALT_BYTES_MAX: usize = 64;

const SCRAM_SHA_256: &str = "{SCRAM-SHA-256}";
const SCRAM: &str = "{SCRAM-";
const CRAM: &str = "{CRAM}";

/// What is stored besides the hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Keys only.
    Keys,
    /// The clear text too, for CRAM.
    ClearText,
}

/// The stored part of SCRAM-SHA-256 (RFC 5802 §3).
#[derive(Clone, Eq, PartialEq)]
pub struct Scram {
    /// Iteration count.
    pub iterations: u32,
    /// Raw salt.
    pub salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// What a user can log in with besides the password itself.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secrets {
    /// For SCRAM-SHA-256.
    pub scram_sha_256: Option<Scram>,
    /// For CRAM-MD5.
    clear_text: Option<Zeroizing<String>>,
}

impl Secrets {
    /// Reads the column. What cannot be understood allows nothing.
    pub fn parse(column: &str) -> Self {
        if let Some(clear_text) = column.strip_prefix(CRAM) {
            return Self {
                scram_sha_256: None,
                clear_text: not_empty(clear_text),
            };
        }
        if !column.starts_with(SCRAM) {
            return Self::default();
        }
        // Base64 has no colon; the clear text may have some.
        let mut parts = column.splitn(3, ':');
        let scram = parts
            .next()
            .and_then(|keys| keys.strip_prefix(SCRAM_SHA_256));
        Self {
            scram_sha_256: scram.and_then(Scram::parse),
            clear_text: parts.nth(1).and_then(not_empty),
        }
    }

    /// Says whether CRAM is possible.
    pub fn has_clear_text(&self) -> bool {
        self.clear_text.is_some()
    }

    /// Checks a response to a CRAM-MD5 challenge (RFC 2195 §2): lower-case
    /// hexadecimal of HMAC-MD5.
    pub fn check_cram_md5(&self, challenge: &[u8], digest: &[u8]) -> bool {
        // Without a secret the same is done with a false one.
        let key = self.clear_text.as_deref().map_or("", String::as_str);
        let Ok(mut mac) = Hmac::<md5::Md5>::new_from_slice(key.as_bytes()) else {
            return false;
        };
        mac.update(challenge);
        let expected = hex(&mac.finalize().into_bytes());
        bool::from(expected.as_bytes().ct_eq(digest)) && self.clear_text.is_some()
    }
}

impl Scram {
    /// The part between the tag and a colon.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        let iterations = fields.next()?.parse().ok()?;
        let salt = BASE64.decode(fields.next()?).ok()?;
        let mut key = || BASE64.decode(fields.next()?).ok()?.try_into().ok();
        let (stored_key, server_key) = (key()?, key()?);
        let fine = fields.next().is_none()
            && 0 < iterations
            && !salt.is_empty()
            && salt.len() <= SALT_BYTES_MAX;
        fine.then_some(Self {
            iterations,
            salt,
            stored_key,
            server_key,
        })
    }

    /// Checks a ClientProof; returns the ServerSignature when it is right.
    pub fn check(&self, auth_message: &[u8], proof: &[u8]) -> Option<[u8; 32]> {
        let proof: &[u8; 32] = proof.try_into().ok()?;
        let signature = hmac_sha256(&self.stored_key, auth_message);
        let mut client_key = Zeroizing::new([0; 32]);
        for (byte, (p, s)) in client_key.iter_mut().zip(proof.iter().zip(signature)) {
            *byte = p ^ s;
        }
        let right = Sha256::digest(client_key.as_slice()).ct_eq(&self.stored_key);
        bool::from(right).then(|| hmac_sha256(&self.server_key, auth_message))
    }
}

/// The column for a new password. `salt` is made at random when `None`.
pub fn column(
    password: &[u8],
    salt: Option<&[u8]>,
    iterations: u32,
    keep: Keep,
) -> Result<Zeroizing<String>, Error> {
    let refused = |problem: &str| Error::Value {
        field: "SCRAM secret",
        problem: problem.to_owned(),
    };
    if !(ITERATIONS_DEFAULT..=ITERATIONS_MAX).contains(&iterations) {
        return Err(refused("needs 4096 to 1000000 iterations"));
    }
    let mut random = [0; SALT_BYTES];
    os::clock::fill_random(&mut random);
    let salt = salt.unwrap_or(&random);
    if salt.is_empty() || SALT_BYTES_MAX < salt.len() {
        return Err(refused("has a salt that is empty or too long"));
    }
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, salted.as_mut_slice());
    let client_key = Zeroizing::new(hmac_sha256(salted.as_slice(), b"Client Key"));
    let stored_key = Sha256::digest(client_key.as_slice());
    let server_key = hmac_sha256(salted.as_slice(), b"Server Key");
    let mut text = Zeroizing::new(format!(
        "{SCRAM_SHA_256}{iterations},{},{},{}",
        BASE64.encode(salt),
        BASE64.encode(stored_key),
        BASE64.encode(server_key)
    ));
    if keep == Keep::ClearText {
        let clear = std::str::from_utf8(password).map_err(|_| refused("is not UTF-8"))?;
        text.push(':');
        text.push_str(&hex(salted.as_slice()));
        text.push(':');
        text.push_str(clear);
    }
    if SCRAM_BYTES_MAX < text.len() {
        return Err(refused("is too long with this password in the clear"));
    }
    Ok(text)
}

/// A salt for a user that does not exist: always the same for one name and
/// key, and not to be told from a real one.
pub fn false_salt(key: &[u8], user: &[u8]) -> Vec<u8> {
    hmac_sha256(key, user)[..SALT_BYTES].to_vec()
}

fn not_empty(text: &str) -> Option<Zeroizing<String>> {
    (!text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    const AUTH_MESSAGE: &[u8] = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn base64(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let salt = base64("W22ZaJ0SNY7soEsUEjb6gQ==");
        let text = column(b"pencil", Some(&salt), 4096, Keep::Keys).unwrap();
        let scram = Secrets::parse(&text).scram_sha_256.unwrap();
        assert_eq!((scram.iterations, &scram.salt), (4096, &salt));
        let proof = base64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(
            scram.check(AUTH_MESSAGE, &proof).map(Vec::from),
            Some(base64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
        );
        assert_eq!(scram.check(b"another", &proof), None);
        assert_eq!(scram.check(AUTH_MESSAGE, &proof[1..]), None);
    }

    #[test]
    fn clear_text_is_there_only_when_asked_for() {
        let text = column(b"a:b,c", None, 4096, Keep::Keys).unwrap();
        assert!(!text.contains("a:b,c"));
        assert!(!Secrets::parse(&text).has_clear_text());
        let text = column(b"a:b,c", None, 4096, Keep::ClearText).unwrap();
        let secrets = Secrets::parse(&text);
        assert_eq!(
            secrets.clear_text.as_deref().map(String::as_str),
            Some("a:b,c")
        );
        assert!(secrets.scram_sha_256.is_some());
        assert!(column(&[b'x'; 80], None, 4096, Keep::ClearText).is_err());
        assert!(column(b"x", None, 1, Keep::Keys).is_err());
    }

    #[test]
    fn cram_md5_follows_its_rfc() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let digest = b"b913a602c7eda7a495b4e6e7334d3890";
        let secrets = Secrets::parse("{CRAM}tanstaaftanstaaf");
        assert!(secrets.check_cram_md5(challenge, digest));
        assert!(!secrets.check_cram_md5(b"<other>", digest));
        assert!(!Secrets::default().check_cram_md5(challenge, digest));
        let empty = Secrets::parse("{CRAM}");
        assert!(!empty.has_clear_text());
        let with_sha_1 = Secrets::parse("{SCRAM-SHA-1}4096,eA==,eA==,eA==:00:tanstaaftanstaaf");
        assert!(with_sha_1.check_cram_md5(challenge, digest));
        assert!(with_sha_1.scram_sha_256.is_none());
    }

    #[test]
    fn foreign_columns_allow_nothing_and_never_panic() {
        for text in [
            "",
            "secret",
            "{SCRAM-SHA-256}",
            "{SCRAM-SHA-256}0,eA==,eA==,eA==",
            "{SCRAM-",
        ] {
            let secrets = Secrets::parse(text);
            assert!(
                secrets.scram_sha_256.is_none() && !secrets.has_clear_text(),
                "{text}"
            );
        }
        property::holds(|u| {
            let rest: String = u.arbitrary()?;
            Secrets::parse(&format!("{SCRAM_SHA_256}{rest}"));
            Ok(())
        });
    }

    #[test]
    fn false_salts_stay_the_same() {
        assert_eq!(false_salt(b"key", b"joe"), false_salt(b"key", b"joe"));
        assert_ne!(false_salt(b"key", b"joe"), false_salt(b"key", b"ann"));
        assert_ne!(false_salt(b"key", b"joe"), false_salt(b"other", b"joe"));
        assert_eq!(false_salt(b"key", b"joe").len(), SALT_BYTES);
    }
}
