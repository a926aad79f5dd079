//! Passwords that were right a moment ago.
//!
//! Mail programs log in again and again, and a hash takes long on purpose. So
//! it is remembered for some minutes that a password belongs to a stored
//! hash: as a digest under a key that only this process has and that ends
//! with it. What is stored is part of the digest, so a password that was
//! changed, by whatever program on whatever host, is not remembered any more.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::world::locked;

/// How long a right password is remembered; being used does not make it
/// longer.
const LIFETIME: Duration = Duration::from_secs(300);
/// Passwords remembered at once: some six megabytes.
const REMEMBERED_MAX: usize = 65_536;
const KEY_BYTES: usize = 32;

type Digest = [u8; 32];

/// What is remembered.
pub struct Verified {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// Until when.
    digests: Mutex<HashMap<Digest, Instant>>,
}

impl Verified {
    /// Remembers nothing, under a new key.
    pub fn new() -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        os::clock::fill_random(key.as_mut_slice());
        Self {
            key,
            digests: Mutex::default(),
        }
    }

    /// Says whether this was right for what is stored not long ago.
    pub fn knows(&self, password: &[u8], stored: &str, now: Instant) -> bool {
        let digest = self.digest(password, stored);
        let until = locked(&self.digests).get(&digest).copied();
        until.is_some_and(|until| now < until)
    }

    /// Remembers that this is right for what is stored.
    pub fn remember(&self, password: &[u8], stored: &str, now: Instant) {
        let digest = self.digest(password, stored);
        let mut digests = locked(&self.digests);
        if REMEMBERED_MAX <= digests.len() {
            digests.retain(|_, until| now < *until);
            if REMEMBERED_MAX <= digests.len() {
                return;
            }
        }
        digests.insert(digest, now + LIFETIME);
    }

    /// Forgets everything.
    pub fn forget(&self) {
        locked(&self.digests).clear();
    }

    fn digest(&self, password: &[u8], stored: &str) -> Digest {
        // Any length will do as a key.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_slice()) else {
            unreachable!("HMAC takes keys of any length");
        };
        mac.update(&(stored.len() as u64).to_be_bytes());
        mac.update(stored.as_bytes());
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_password_for_this_hash_is_known_and_not_for_long() {
        let (verified, now) = (Verified::new(), Instant::now());
        verified.remember(b"secret", "$6$hash", now);
        assert!(verified.knows(b"secret", "$6$hash", now));
        assert!(!verified.knows(b"secret", "$6$other", now));
        assert!(!verified.knows(b"Secret", "$6$hash", now));
        assert!(!verified.knows(b"hsecret", "$6$has", now));
        assert!(!verified.knows(b"secret", "$6$hash", now + LIFETIME));
        assert!(!Verified::new().knows(b"secret", "$6$hash", now));
        verified.forget();
        assert!(!verified.knows(b"secret", "$6$hash", now));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (verified, now) = (Verified::new(), Instant::now());
        let name = |n: usize| n.to_string().into_bytes();
        (0..=REMEMBERED_MAX).for_each(|n| verified.remember(&name(n), "h", now));
        assert!(verified.knows(&name(0), "h", now));
        assert!(!verified.knows(&name(REMEMBERED_MAX), "h", now));
        let later = now + LIFETIME;
        verified.remember(&name(REMEMBERED_MAX), "h", later);
        assert!(verified.knows(&name(REMEMBERED_MAX), "h", later));
        assert_eq!(locked(&verified.digests).len(), 1);
    }
}
