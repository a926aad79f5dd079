//! Who may administer from afar (tables `mgmtaccess` and `vpriv`), and tokens
//! that stand for a password (virtual-domains.md §15.1).

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Who may run everything.
pub const ALL_POWERFUL: &str = "admin";
/// Longest name.
pub const NAME_BYTES_MAX: usize = 32;
/// Longest name of a token.
pub const TOKEN_NAME_BYTES_MAX: usize = 40;
/// Wrong passwords of one day; one more, and an administrator is shut out.
pub const ATTEMPTS_PER_DAY_MAX: i64 = 6;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// How every token begins, so that people and scanners know one.
const TOKEN_PREFIX: &str = "imt_";
/// What is hashed before a token, so that the digest is of no other use.
const PURPOSE: &[u8] = b"indimail administration token\0";

/// Somebody who may administer from afar.
#[derive(Clone, Eq, PartialEq)]
pub struct Administrator {
    /// Its name.
    pub name: String,
    /// The crypt string.
    pub password_hash: String,
    /// Shut out by another administrator.
    pub is_disabled: bool,
}

/// Without the hash.
impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administrator")
            .field("name", &self.name)
            .field("is_disabled", &self.is_disabled)
            .finish_non_exhaustive()
    }
}

/// A program an administrator may run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Privilege {
    /// Its name.
    pub program: String,
    /// `*`, or a pattern for its arguments.
    pub switches: String,
}

/// A token, as it is stored.
#[derive(Clone, Eq, PartialEq)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// Digest of its text.
    pub(crate) digest: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
}

/// Without the digest.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A new one, and its text: nobody can find it out again.
    pub fn generate(name: &str, now: i64) -> (Self, Zeroizing<String>) {
        let mut random = Zeroizing::new([0u8; TOKEN_BYTES]);
        os::clock::fill_random(random.as_mut_slice());
        let text = Zeroizing::new(format!("{TOKEN_PREFIX}{}", hex(random.as_slice())));
        let new = Self {
            name: name.to_owned(),
            digest: digest(text.as_bytes()).unwrap_or_default(),
            created: now,
        };
        (new, text)
    }
}

/// What is stored of a token; `None` when the text cannot be one. Nobody
/// chose it, so its digest needs no salt and no slowness, and can be a key.
pub fn digest(text: &[u8]) -> Option<String> {
    let random = text.strip_prefix(TOKEN_PREFIX.as_bytes())?;
    let is_one = random.len() == 2 * TOKEN_BYTES && random.iter().all(u8::is_ascii_hexdigit);
    is_one.then(|| {
        let mut hash = Sha256::new();
        hash.update(PURPOSE);
        hash.update(text);
        format!("{{SHA256}}{}", hex(&hash.finalize()))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let (token, text) = Token::generate("backup", 7);
        assert_eq!(digest(text.as_bytes()), Some(token.digest.clone()));
        assert!(!token.digest.contains(&text[TOKEN_PREFIX.len()..]));
        assert_ne!(Token::generate("backup", 7).0.digest, token.digest);
        for wrong in ["", "imt_", "imt_zz", &text[1..], &format!("{}0", *text)] {
            assert_eq!(digest(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
