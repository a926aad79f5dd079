//! Password hashes: making new ones, checking every kind there is
//! (virtual-domains.md §5.4).
//!
//! Comparisons take constant time. A user nobody knows costs as much as one
//! with a hash of today; see [`check_nobody`].

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::Error;

/// Longest password that is looked at.
pub const PASSWORD_BYTES_MAX: usize = 255;
/// Shortest generated password.
pub const GENERATED_CHARS_MIN: usize = 12;
/// Longest generated password.
pub const GENERATED_CHARS_MAX: usize = 64;
/// Memory of a stored Argon2 hash, in KiB; more is not computed.
const ARGON2_KIB_MAX: u32 = 256 * 1024;
/// Passes of a stored Argon2 hash.
const ARGON2_PASSES_MAX: u32 = 16;
/// Cost of a stored bcrypt hash.
const BCRYPT_COST_MAX: u32 = 15;
/// Rounds of a stored SHA-crypt hash of any kind.
const CRYPT_ROUNDS_MAX: u64 = 2_000_000;
/// Cost letter of a stored yescrypt hash; the next doubles the memory. `F`
/// is 128 MiB and more than any system uses by default.
const YESCRYPT_COST_MAX: u8 = b'F';
/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// How new hashes are made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Method {
    /// Argon2id (RFC 9106).
    #[default]
    Argon2id,
    /// SHA-512 crypt, `$6$`.
    Sha512,
    /// yescrypt, `$y$`.
    Yescrypt,
}

impl Method {
    /// Reads a name or number. `None` for what is unknown or no longer made;
    /// [`Method::is_obsolete_name`] tells the two apart.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "argon2id" | "argon2" => Some(Self::Argon2id),
            // Who asks for the shorter of the two gets the longer.
            "2" | "sha-256" | "sha256" | "3" | "sha-512" | "sha512" => Some(Self::Sha512),
            "4" | "yescrypt" => Some(Self::Yescrypt),
            _ => None,
        }
    }

    /// Says whether the name means a hash that is checked but not made.
    pub fn is_obsolete_name(name: &str) -> bool {
        matches!(
            name.to_ascii_lowercase().as_str(),
            "0" | "des" | "1" | "md5"
        )
    }
}

/// What a check found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is the password.
    Match,
    /// It is the password, and its hash should be made anew.
    MatchObsolete,
    /// It is not, or the stored text is no hash.
    Mismatch,
}

/// The kinds of stored text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Argon2.
    Argon2,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$1$`.
    Md5,
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
    /// `$y$`.
    Yescrypt,
    /// 13 characters.
    Des,
    /// Nothing that can be checked: locked, or clear text.
    Unknown,
}

impl Kind {
    /// Tells by the prefix.
    pub fn of(stored: &str) -> Self {
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| stored.starts_with(prefix));
        let crypt = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'))
        };
        // Four words at most, the second one rounds.
        let crypt_words = || {
            stored.matches('$').count() <= 4
                && stored
                    .split('$')
                    .all(|word| crypt(word.strip_prefix("rounds=").unwrap_or(word)))
        };
        match stored {
            _ if !stored.is_ascii() => Self::Unknown,
            _ if is(&["$argon2id$", "$argon2i$", "$argon2d$"]) => Self::Argon2,
            _ if is(&["$2a$", "$2b$", "$2y$"]) => Self::Bcrypt,
            _ if is(&["$1$"]) && crypt_words() => Self::Md5,
            _ if is(&["$5$"]) && crypt_words() => Self::Sha256,
            _ if is(&["$6$"]) && crypt_words() => Self::Sha512,
            _ if is(&["$y$"]) => Self::Yescrypt,
            _ if stored.len() == 13 && crypt(stored) => Self::Des,
            _ => Self::Unknown,
        }
    }

    /// Weak by today's measure: replaced at the next login.
    fn is_obsolete(self) -> bool {
        matches!(self, Self::Md5 | Self::Des)
    }
}

/// As account listings name it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::Md5 => "MD5",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Yescrypt => "YesCrypt",
            Self::Des => "DES",
            Self::Unknown => "un-encrypted",
        })
    }
}

/// Checks that a text may become somebody's password: not empty, not longer
/// than [`PASSWORD_BYTES_MAX`], UTF-8 without control characters.
pub fn check_new(password: &[u8]) -> Result<(), Error> {
    let problem = match std::str::from_utf8(password) {
        _ if password.is_empty() => "is empty",
        _ if PASSWORD_BYTES_MAX < password.len() => "is too long",
        Err(_) => "is not UTF-8",
        Ok(text) if text.chars().any(char::is_control) => "has a control character",
        Ok(_) => return Ok(()),
    };
    Err(Error::Value {
        field: "password",
        problem: problem.to_owned(),
    })
}

/// Hashes a new password with a random salt; the result fits its column.
pub fn hash(password: &[u8], method: Method) -> Result<String, Error> {
    check_new(password)?;
    let failed = |why: String| Error::Value {
        field: "password",
        problem: format!("cannot be hashed: {why}"),
    };
    let mut salt = [0; SALT_BYTES];
    os::clock::fill_random(&mut salt);
    match method {
        Method::Argon2id => {
            let salt = SaltString::encode_b64(&salt).map_err(|e| failed(e.to_string()))?;
            let hash = argon2().hash_password(password, &salt);
            Ok(hash.map_err(|e| failed(e.to_string()))?.to_string())
        }
        Method::Sha512 => {
            let setup = format!("$6${}", crypt_salt(&salt));
            pwhash::sha512_crypt::hash_with(setup.as_str(), password)
                .map_err(|e| failed(e.to_string()))
        }
        Method::Yescrypt => {
            use yescrypt::PasswordHasher as _;
            let hash = yescrypt::Yescrypt::default().hash_password_with_salt(password, &salt);
            Ok(hash.map_err(|e| failed(e.to_string()))?.to_string())
        }
    }
}

/// Checks a password against what is stored.
pub fn check(password: &[u8], stored: &str) -> Verdict {
    if PASSWORD_BYTES_MAX < password.len() || password.contains(&0) {
        // Nobody can have it, and that takes as long.
        check_nobody(password);
        return Verdict::Mismatch;
    }
    let kind = Kind::of(stored);
    let matches = match kind {
        Kind::Argon2 => check_argon2(password, stored),
        Kind::Bcrypt => check_bcrypt(password, stored),
        Kind::Sha256 if rounds_fine(stored, "$5$rounds=") => {
            pwhash::sha256_crypt::verify(password, stored)
        }
        Kind::Sha512 if rounds_fine(stored, "$6$rounds=") => {
            pwhash::sha512_crypt::verify(password, stored)
        }
        Kind::Sha256 | Kind::Sha512 => false,
        Kind::Md5 => pwhash::md5_crypt::verify(password, stored),
        Kind::Yescrypt => check_yescrypt(password, stored),
        Kind::Des => pwhash::unix_crypt::verify(password, stored),
        Kind::Unknown => {
            check_nobody(password);
            false
        }
    };
    match matches {
        true if kind.is_obsolete() => Verdict::MatchObsolete,
        true => Verdict::Match,
        false => Verdict::Mismatch,
    }
}

/// Spends the time of a check for a user that does not exist.
pub fn check_nobody(password: &[u8]) {
    static NOBODY: LazyLock<Option<String>> =
        LazyLock::new(|| hash(b"nobody has this one", Method::default()).ok());
    if let Some(stored) = &*NOBODY {
        check_argon2(&password[..password.len().min(PASSWORD_BYTES_MAX)], stored);
    }
}

/// A random password of letters and digits.
pub fn generate(chars: usize) -> Zeroizing<String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let chars = chars.clamp(GENERATED_CHARS_MIN, GENERATED_CHARS_MAX);
    let mut password = Zeroizing::new(String::with_capacity(chars));
    while password.len() < chars {
        let mut byte = [0];
        os::clock::fill_random(&mut byte);
        // 62 does not divide 256: throw away what would favour some letters.
        if let Some(&letter) = ALPHABET.get(usize::from(byte[0] & 63)) {
            password.push(char::from(letter));
        }
    }
    password
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn check_argon2(password: &[u8], stored: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(stored) else {
        return false;
    };
    let Ok(params) = Params::try_from(&parsed) else {
        return false;
    };
    params.m_cost() <= ARGON2_KIB_MAX
        && params.t_cost() <= ARGON2_PASSES_MAX
        && argon2().verify_password(password, &parsed).is_ok()
}

fn check_bcrypt(password: &[u8], stored: &str) -> bool {
    let cost = stored.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    cost.is_some_and(|cost| cost <= BCRYPT_COST_MAX)
        && bcrypt::verify(password, stored).unwrap_or(false)
}

fn check_yescrypt(password: &[u8], stored: &str) -> bool {
    use yescrypt::PasswordVerifier as _;
    // `$y$`, a letter of the mode, a letter of the cost.
    let cost = stored.as_bytes().get(4).copied();
    cost.is_some_and(|cost| cost <= YESCRYPT_COST_MAX)
        && yescrypt::Yescrypt::default()
            .verify_password(password, stored)
            .is_ok()
}

/// Says whether the number behind a prefix is one we are ready to count to.
fn rounds_fine(stored: &str, prefix: &str) -> bool {
    match stored.strip_prefix(prefix) {
        Some(rest) => rest
            .split('$')
            .next()
            .and_then(|digits| digits.parse().ok())
            .is_some_and(|rounds: u64| rounds <= CRYPT_ROUNDS_MAX),
        None => true,
    }
}

/// 16 characters of the alphabet of crypt(3).
fn crypt_salt(random: &[u8; SALT_BYTES]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Password, hash: vectors that the authors of the methods publish, and
    /// some of crypt(3).
    const KNOWN: &[(&str, &str, Verdict)] = &[
        ("test", "aZGJuE6EXrjEE", Verdict::MatchObsolete),
        (
            "0.s0.l33t",
            "$1$deadbeef$0Huu6KHrKLVWfqa4WljDE0",
            Verdict::MatchObsolete,
        ),
        (
            "U*U",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            Verdict::Match,
        ),
        (
            "U*U",
            "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            Verdict::Match,
        ),
        (
            "U*U",
            "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            Verdict::Match,
        ),
        (
            "pleaseletmein",
            "$y$/2/$LdJMEN3$RRorHhfsw1/P/WR6Aurg4U72e9Q7qt9vFPURdyfiqK8",
            Verdict::Match,
        ),
        (
            "password",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            Verdict::Match,
        ),
    ];

    #[test]
    fn every_kind_of_hash_is_checked() {
        for (password, stored, expected) in KNOWN {
            assert_eq!(check(password.as_bytes(), stored), *expected, "{stored}");
            assert_eq!(check(b"wrong", stored), Verdict::Mismatch, "{stored}");
            assert_eq!(check(b"", stored), Verdict::Mismatch, "{stored}");
        }
    }

    #[test]
    fn hashes_of_the_c_library_are_checked() {
        for line in include_str!("crypt.vectors").lines() {
            let (password, stored) = line.split_once(' ').unwrap();
            assert_ne!(
                check(password.as_bytes(), stored),
                Verdict::Mismatch,
                "{line}"
            );
        }
    }

    #[test]
    fn what_was_hashed_matches_and_fits_its_column() {
        for method in [Method::Argon2id, Method::Sha512, Method::Yescrypt] {
            let stored = hash("pässword".as_bytes(), method).unwrap();
            assert!(stored.len() <= crate::value::HASH_BYTES_MAX, "{stored}");
            assert_eq!(check("pässword".as_bytes(), &stored), Verdict::Match);
            assert_eq!(check(b"password", &stored), Verdict::Mismatch);
            let again = hash("pässword".as_bytes(), method).unwrap();
            assert_ne!(stored, again, "salts differ");
        }
    }

    #[test]
    fn clear_text_and_locked_entries_never_match() {
        for stored in [
            "secret",
            "",
            "!",
            "*",
            "x",
            "$",
            "$9$x$y",
            "$5$",
            "$6$rounds=",
            "$1$",
            "$2a$99$",
            "$y$",
            "$y$jZ9$$",
            "é",
        ] {
            assert_eq!(
                check(stored.as_bytes(), stored),
                Verdict::Mismatch,
                "{stored}"
            );
        }
    }

    #[test]
    fn a_stored_hash_cannot_take_the_machine() {
        for stored in [
            "$argon2id$v=19$m=4000000000,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$5$rounds=999999999$saltstring$x",
            "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$y$jT5$LdJMEN3$RRorHhfsw1/P/WR6Aurg4U72e9Q7qt9vFPURdyfiqK8",
        ] {
            assert_eq!(check(b"x", stored), Verdict::Mismatch);
        }
    }

    #[test]
    fn foreign_text_never_panics() {
        property::holds(|u| {
            let prefixes = [
                "$1$",
                "$5$rounds=1000",
                "$sha1$",
                "$2b$04$",
                "$y$j",
                "_",
                "",
            ];
            let prefix = u.choose(&prefixes)?;
            let rest: String = u.arbitrary()?;
            let stored = format!("{prefix}{rest}");
            // The cost of these two is bounded, and not small.
            if !matches!(Kind::of(&stored), Kind::Unknown | Kind::Yescrypt) {
                check(b"password", &stored);
            }
            Ok(())
        });
    }

    #[test]
    fn generated_passwords_are_long_enough() {
        assert_eq!(generate(3).len(), GENERATED_CHARS_MIN);
        assert_eq!(generate(20).len(), 20);
        assert_ne!(*generate(20), *generate(20));
        assert!(generate(64).bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn passwords_that_cannot_be_typed_are_refused() {
        assert!(check_new(b"").is_err());
        assert!(check_new(b"a\0b").is_err());
        assert!(check_new(b"a\nb").is_err());
        assert!(check_new(&[0xff]).is_err());
        assert!(check_new(&[b'a'; 256]).is_err());
        assert!(check_new(b"a b c").is_ok());
    }
}
