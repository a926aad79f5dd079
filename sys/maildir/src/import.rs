//! UIDs that another server gave: Courier's `courierimapuiddb` and Dovecot's
//! `dovecot-uidlist`.
//!
//! They are read once, when a folder has no index yet, so that clients need
//! not fetch everything again after a migration.

use std::collections::HashMap;
use std::path::Path;

/// Largest list that is read.
const LIST_BYTES_MAX: u64 = 256 << 20;

/// UIDs of a folder by base name.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Imported {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) uids: HashMap<Vec<u8>, u32>,
}

/// Reads what another server left in a folder, if anything.
pub(crate) fn uids(folder: &Path) -> Option<Imported> {
    let read = |name| read_small(&folder.join(name));
    read("courierimapuiddb")
        .and_then(|list| courier(&list))
        .or_else(|| read("dovecot-uidlist").and_then(|list| dovecot(&list)))
}

/// Reads Dovecot's table of keyword letters, `NUMBER NAME` lines, as far as
/// the numbers have no gap.
pub(crate) fn keywords(folder: &Path) -> Vec<String> {
    let list = read_small(&folder.join(KEYWORDS_FILE)).unwrap_or_default();
    let mut keywords = Vec::new();
    for line in list.split(|&byte| byte == b'\n') {
        let Some((number, name)) = std::str::from_utf8(line)
            .ok()
            .and_then(|l| l.split_once(' '))
        else {
            break;
        };
        if number.parse() != Ok(keywords.len()) || !crate::flags::is_keyword(name) {
            break;
        }
        keywords.push(name.to_owned());
    }
    keywords.truncate(crate::flags::KEYWORD_LETTERS);
    keywords
}

/// Where other programs look for the meaning of keyword letters.
pub(crate) const KEYWORDS_FILE: &str = "dovecot-keywords";

fn read_small(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= LIST_BYTES_MAX)
        .then(|| std::fs::read(path).ok())
        .flatten()
}

/// `1 UIDVALIDITY UIDNEXT`, then `UID BASE` lines.
fn courier(list: &[u8]) -> Option<Imported> {
    let mut lines = list.split(|&byte| byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let mut fields = first.strip_prefix("1 ")?.split(' ');
    let mut imported = Imported {
        uid_validity: fields.next()?.trim().parse().ok()?,
        uid_next: fields.next()?.trim().parse().ok()?,
        uids: HashMap::new(),
    };
    for line in lines {
        imported.take(line, Some);
    }
    imported.checked()
}

/// `3 V… N… …`, then `UID [fields] :NAME` lines.
fn dovecot(list: &[u8]) -> Option<Imported> {
    let mut lines = list.split(|&byte| byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let fields = first.strip_prefix("3 ")?;
    let field = |key| {
        fields
            .split(' ')
            .find_map(|field| field.strip_prefix(key)?.parse().ok())
    };
    let mut imported = Imported {
        uid_validity: field('V')?,
        uid_next: field('N')?,
        uids: HashMap::new(),
    };
    for line in lines {
        imported.take(line, |rest| {
            let colon = memchr::memchr(b':', rest)?;
            Some(&rest[colon + 1..])
        });
    }
    imported.checked()
}

impl Imported {
    fn take<'a>(&mut self, line: &'a [u8], name: impl FnOnce(&'a [u8]) -> Option<&'a [u8]>) {
        let entry = || {
            let space = memchr::memchr(b' ', line)?;
            let uid: u32 = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
            let name = name(&line[space + 1..])?;
            let base = name.split(|&byte| byte == b':').next()?;
            (!base.is_empty() && 0 < uid).then(|| (base.to_vec(), uid))
        };
        if let Some((base, uid)) = entry() {
            self.uid_next = self.uid_next.max(uid.saturating_add(1));
            self.uids.insert(base, uid);
        }
    }

    fn checked(self) -> Option<Self> {
        let valid = 0 < self.uid_validity && 0 < self.uid_next && self.uid_next < u32::MAX;
        valid.then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_of_other_servers_are_understood() {
        let expected = Imported {
            uid_validity: 1_600_000_000,
            uid_next: 12,
            uids: [(b"1.a".to_vec(), 3), (b"2.b,S=5".to_vec(), 11)].into(),
        };
        let list = b"1 1600000000 12\n3 1.a\n11 2.b,S=5\nrubbish\n";
        assert_eq!(courier(list), Some(expected));
        let list = b"3 V1600000000 N9 Gabc\n3 :1.a:2,S\n11 W9 :2.b,S=5\n";
        let imported = dovecot(list).unwrap();
        assert_eq!(imported.uid_next, 12, "never below a UID in use");
        assert_eq!(imported.uids[&b"1.a"[..]], 3);
    }

    #[test]
    fn foreign_lists_do_no_harm() {
        property::holds(|u| {
            let list = property::bytes(u)?;
            let _ = courier(&[b"1 5 6\n", &list[..]].concat());
            let _ = dovecot(&[b"3 V5 N6\n", &list[..]].concat());
            Ok(())
        });
    }
}
