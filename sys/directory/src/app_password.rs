//! Passwords for single programs: a phone, a scanner. Each can be taken back
//! by itself, and opens only the services it is for.
//!
//! They are made by us and never chosen: a hundred random bits need no slow
//! hash, so checking them costs nothing.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Letters and digits that are not mistaken for each other (RFC 4648 §6), 32.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of a password, 5 bits each.
const CHARS: usize = 20;
/// Shown in groups, to be typed.
const GROUP: usize = 4;
/// What is hashed before the password, so that the digest is of no other use.
const PURPOSE: &[u8] = b"indimail app password\0";
/// How a stored digest begins.
const PREFIX: &str = "{SHA256}";
/// Longest name.
pub const NAME_BYTES_MAX: usize = 40;
/// Most of them for one user.
pub const COUNT_MAX: usize = 50;

/// The services a password opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope {
    /// Sending.
    pub smtp: bool,
    /// Reading by IMAP.
    pub imap: bool,
    /// Fetching by POP3.
    pub pop3: bool,
}

impl Scope {
    /// Every service.
    pub const ALL: Self = Self {
        smtp: true,
        imap: true,
        pop3: true,
    };
}

/// The words, with commas.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.smtp, "smtp"),
            (self.imap, "imap"),
            (self.pop3, "pop3"),
        ];
        let named: Vec<&str> = words
            .iter()
            .filter_map(|(is, word)| is.then_some(*word))
            .collect();
        f.write_str(&named.join(","))
    }
}

/// The text names no services.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("services are smtp, imap and pop3, separated by commas")]
pub struct BadScope;

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let mut scope = Self {
            smtp: false,
            imap: false,
            pop3: false,
        };
        for word in text.split(',') {
            match word.trim() {
                "smtp" => scope.smtp = true,
                "imap" => scope.imap = true,
                "pop3" => scope.pop3 = true,
                _ => return Err(BadScope),
            }
        }
        Ok(scope)
    }
}

/// A password for one program, as it is stored.
#[derive(Clone, Eq, PartialEq)]
pub struct AppPassword {
    /// What the user calls it.
    pub name: String,
    /// Digest of the password.
    pub(crate) digest: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// When it was last used.
    pub last_used: Option<i64>,
}

/// Without the digest.
impl fmt::Debug for AppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppPassword")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl AppPassword {
    /// A new one, and the password: nobody can find it out again.
    pub fn generate(name: &str, scope: Scope, now: i64) -> (Self, Zeroizing<String>) {
        let mut random = [0u8; CHARS];
        os::clock::fill_random(&mut random);
        let mut shown = Zeroizing::new(String::new());
        for (number, byte) in random.iter().enumerate() {
            if 0 < number && number % GROUP == 0 {
                shown.push('-');
            }
            shown.push(char::from(ALPHABET[usize::from(byte % 32)]));
        }
        let new = Self {
            name: name.to_owned(),
            digest: digest(&plain(shown.as_bytes()).unwrap_or_default()),
            scope,
            created: now,
            last_used: None,
        };
        (new, shown)
    }

    /// Says whether this is the password.
    pub fn matches(&self, password: &[u8]) -> bool {
        plain(password).is_some_and(|plain| {
            let given = digest(&plain);
            given.as_bytes().ct_eq(self.digest.as_bytes()).into()
        })
    }
}

/// Says whether a text can be such a password; others need not be looked for.
pub fn is_one(password: &[u8]) -> bool {
    plain(password).is_some()
}

/// The characters alone, however they were grouped and written.
fn plain(password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if CHARS * 2 < password.len() {
        return None;
    }
    let mut plain = Zeroizing::new(password.to_ascii_lowercase());
    plain.retain(|b| !matches!(b, b'-' | b' '));
    (plain.len() == CHARS && plain.iter().all(|b| ALPHABET.contains(b))).then_some(plain)
}

fn digest(plain: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(PURPOSE);
    hash.update(plain);
    let hex: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    format!("{PREFIX}{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_matches_however_it_is_typed() {
        let (new, password) = AppPassword::generate("phone", Scope::ALL, 1);
        assert_eq!(password.len(), 24);
        assert!(new.matches(password.as_bytes()));
        assert!(new.matches(password.replace('-', "").to_uppercase().as_bytes()));
        let (_, other) = AppPassword::generate("phone", Scope::ALL, 1);
        assert!(!new.matches(other.as_bytes()));
        for text in ["", "Secret-1234", &"a".repeat(21), &"1".repeat(20), "é"] {
            assert!(!is_one(text.as_bytes()) && !new.matches(text.as_bytes()));
        }
        assert!(!format!("{new:?}").contains(&new.digest));
        assert!(new.digest.len() <= crate::value::HASH_BYTES_MAX);
    }

    #[test]
    fn services_are_read_as_they_are_written() {
        for text in ["smtp", "imap,pop3", "smtp,imap,pop3"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        assert!("".parse::<Scope>().is_err() && "ftp".parse::<Scope>().is_err());
    }
}
