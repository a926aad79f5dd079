//! Unique ids (UIDL): the same for a message as long as it exists, whatever
//! becomes of the index.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

/// RFC 1939 §7.
const UNIQUE_ID_BYTES_MAX: usize = 70;

/// Largest list of Courier that is read.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Ids that Courier gave to messages, so that nobody fetches everything again
/// after a migration.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Given(HashMap<Vec<u8>, String>);

impl Given {
    /// Reads `courierpop3dsizelist`, if there is one.
    pub fn read(maildir: &Path) -> Self {
        let path = maildir.join("courierpop3dsizelist");
        let small = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LIST_BYTES_MAX);
        let list = small.then(|| std::fs::read(path).ok()).flatten();
        Self::parse(&list.unwrap_or_default())
    }

    /// Parses `/VERSION UIDNEXT UIDVALIDITY`, then `NAME SIZE N:UIDVALIDITY:…`
    /// lines.
    fn parse(list: &[u8]) -> Self {
        let mut lines = list.split(|&byte| byte == b'\n');
        let mut given = HashMap::new();
        if lines.next().is_some_and(|first| first.starts_with(b"/")) {
            for line in lines {
                if let Some((base, id)) = entry(line) {
                    given.insert(base, id);
                }
            }
        }
        Self(given)
    }

    /// The id of the message with this base name.
    pub fn id(&self, base: &[u8]) -> String {
        match self.0.get(base) {
            Some(id) => id.clone(),
            None => of_base(base),
        }
    }
}

fn entry(line: &[u8]) -> Option<(Vec<u8>, String)> {
    let mut words = line.split(|&byte| byte == b' ');
    let (name, _size, numbers) = (words.next()?, words.next()?, words.next()?);
    let mut numbers = std::str::from_utf8(numbers).ok()?.split(':');
    let number: u64 = numbers.next()?.parse().ok()?;
    let validity: u64 = numbers.next()?.parse().ok()?;
    let base = name.split(|&byte| byte == b':').next()?;
    (number != 0).then(|| (base.to_vec(), format!("UID{number}-{validity}")))
}

/// The base name without sizes; its hash when it is too long or has bytes an
/// id must not have.
fn of_base(base: &[u8]) -> String {
    let unique = base.split(|&byte| byte == b',').next().unwrap_or_default();
    let fits = (1..=UNIQUE_ID_BYTES_MAX).contains(&unique.len());
    match std::str::from_utf8(unique) {
        Ok(unique) if fits && unique.bytes().all(|byte| byte.is_ascii_graphic()) => {
            unique.to_owned()
        }
        _ => {
            let digest = Sha256::digest(base);
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_courier_are_kept() {
        let given = Given::parse(b"/3 9 1600000000\n1.a,S=5:2,S 5 4:1600000000:0\nrubbish\n");
        assert_eq!(given.id(b"1.a,S=5"), "UID4-1600000000");
        assert_eq!(given.id(b"2.b,S=5"), "2.b");
        assert_eq!(Given::parse(b"garbage\n1.a 5 4:1:0\n"), Given::default());
    }

    #[test]
    fn every_name_has_a_valid_id() {
        property::holds(|u| {
            let base = property::bytes(u)?;
            let id = of_base(&base);
            assert!((1..=UNIQUE_ID_BYTES_MAX).contains(&id.len()));
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()));
            Ok(())
        });
        assert_eq!(of_base(&[b'x'; 71]).len(), 64);
    }
}
