//! Passwords that were right a moment ago: phones ask again every few minutes,
//! and checking a hash costs a tenth of a second of a processor on purpose.
//!
//! What is remembered is a digest under a key that only this process has, of
//! the password and of the row it was right for. So it says nothing of the
//! password to who does not have the key, and a row that changed in any way is
//! another row: nothing has to be told to forget. Wrong passwords are never
//! remembered.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use directory::User;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::world::locked;

/// For how long.
const LIFETIME: Duration = Duration::from_secs(300);
/// How many at most: 64 bytes each, a megabyte and a half with the room that
/// a table leaves empty.
const COUNT_MAX: usize = 10_000;
const KEY_BYTES: usize = 32;

type Digest = [u8; 32];

/// Passwords that were right a moment ago.
pub struct Verified {
    key: Zeroizing<[u8; KEY_BYTES]>,
    since: Mutex<HashMap<Digest, Instant>>,
}

impl Default for Verified {
    fn default() -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        os::clock::fill_random(key.as_mut_slice());
        Self {
            key,
            since: Mutex::default(),
        }
    }
}

impl Verified {
    /// Says whether this was right for this row not long ago.
    pub fn has(&self, user: &User, password: &[u8], now: Instant) -> bool {
        let since = locked(&self.since)
            .get(&self.digest(user, password))
            .copied();
        since.is_some_and(|since| now.saturating_duration_since(since) < LIFETIME)
    }

    /// Remembers that it was right.
    pub fn add(&self, user: &User, password: &[u8], now: Instant) {
        let mut since = locked(&self.since);
        if COUNT_MAX <= since.len() {
            since.retain(|_, since| now.saturating_duration_since(*since) < LIFETIME);
        }
        if COUNT_MAX <= since.len() {
            since.clear();
        }
        since.insert(self.digest(user, password), now);
    }

    /// Forgets all.
    pub fn clear(&self) {
        locked(&self.since).clear();
    }

    fn digest(&self, user: &User, password: &[u8]) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice())
            .expect("a key of any length will do");
        let state = [
            user.gid_flags.to_le_bytes(),
            user.uid_state.to_le_bytes(),
            u32::from(user.active).to_le_bytes(),
        ];
        let fields = [
            user.name.as_bytes(),
            user.domain.as_bytes(),
            user.password_hash.as_bytes(),
            user.scram.as_deref().unwrap_or_default().as_bytes(),
            user.dir.as_os_str().as_encoded_bytes(),
            user.quota.as_bytes(),
            user.gecos.as_bytes(),
            state.as_flattened(),
            password,
        ];
        for field in fields {
            mac.update(&(field.len() as u64).to_le_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User {
            name: name.to_owned(),
            domain: "example.com".to_owned(),
            password_hash: "$6$x".to_owned(),
            gid_flags: 0,
            gecos: String::new(),
            dir: Default::default(),
            quota: String::new(),
            scram: None,
            active: true,
            uid_state: 1,
        }
    }

    #[test]
    fn a_row_that_changed_was_never_verified() {
        let (verified, now) = (Verified::default(), Instant::now());
        let joe = user("joe");
        verified.add(&joe, b"right", now);
        assert!(verified.has(&joe, b"right", now));
        assert!(!verified.has(&joe, b"wrong", now));
        assert!(!verified.has(&user("ann"), b"right", now));
        let changes: [fn(&mut User); 6] = [
            |user| user.password_hash.push('y'),
            |user| user.scram = Some("{CRAM}x".to_owned()),
            |user| user.gid_flags = 1,
            |user| user.active = false,
            |user| user.quota.push('1'),
            |user| user.gecos.push('J'),
        ];
        for change in changes {
            let mut changed = joe.clone();
            change(&mut changed);
            assert!(!verified.has(&changed, b"right", now), "{changed:?}");
        }
        assert!(!verified.has(&joe, b"right", now + LIFETIME));
        verified.clear();
        assert!(!verified.has(&joe, b"right", now));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (verified, now) = (Verified::default(), Instant::now());
        for number in 0..COUNT_MAX + 10 {
            verified.add(&user(&number.to_string()), b"x", now);
        }
        assert!(locked(&verified.since).len() <= COUNT_MAX);
        assert!(verified.has(&user(&COUNT_MAX.to_string()), b"x", now));
    }

    #[test]
    fn another_process_has_another_key() {
        let joe = user("joe");
        let digest = |verified: Verified| verified.digest(&joe, b"right");
        assert_ne!(digest(Verified::default()), digest(Verified::default()));
    }
}
