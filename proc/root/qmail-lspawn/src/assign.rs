//! Who a local part belongs to: `users/cdb` (queue-and-delivery.md §5.3 A),
//! and what qmail-getpw answers.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use os::account::Identity;

/// A local part's user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// Login name, for virtual domains the domain.
    pub user: Vec<u8>,
    /// As whom qmail-local runs.
    pub identity: Identity,
    /// Home directory.
    pub home: Vec<u8>,
    /// `-` or nothing.
    pub dash: Vec<u8>,
    /// What `.qmail` files are chosen by.
    pub ext: Vec<u8>,
}

/// The table cannot be used now.
#[derive(Debug, Eq, PartialEq)]
pub struct Trouble;

/// The table in memory, read again when the file changes.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    version: Option<Version>,
    content: Vec<u8>,
}

/// What changes when another file takes a file's place.
type Version = (u64, u64, i64, i64);

impl Users {
    /// The table of an installation.
    pub fn new(users: &Path) -> Self {
        Self {
            path: users.join("cdb"),
            version: None,
            content: Vec::new(),
        }
    }

    /// Who gets mail for this local part; `None` when the table does not say.
    pub fn find(&mut self, local: &[u8]) -> Result<Option<Assignment>, Trouble> {
        match self.refresh() {
            Ok(()) if self.version.is_none() => Ok(None),
            Ok(()) => find(&self.content, local),
            Err(_) => Err(Trouble),
        }
    }

    fn refresh(&mut self) -> io::Result<()> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A table that was lost is not a host without one: mail of
                // virtual domains would bounce as that of unknown users.
                if self.path.with_file_name("assign").exists() {
                    return Err(error);
                }
                self.version = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let version = (
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        );
        if self.version != Some(version) {
            self.content = fs::read(&self.path)?;
            self.version = Some(version);
        }
        Ok(())
    }
}

fn find(content: &[u8], local: &[u8]) -> Result<Option<Assignment>, Trouble> {
    let reader = cdb::Reader::new(content).map_err(|_| Trouble)?;
    let find = |key: &[u8]| reader.find(key).map_err(|_| Trouble);
    // A table without the empty key was not made by qmail-newu.
    let wild = find(b"")?.ok_or(Trouble)?;
    let mut key = vec![b'!'];
    key.extend(local.to_ascii_lowercase());
    if let Some(data) = find(&[&key[..], b"\0"].concat())? {
        return parse(data, b"").ok_or(Trouble).map(Some);
    }
    for length in (1..=key.len()).rev() {
        let is_tried = length == 1 || wild.contains(&key[length - 1]);
        if is_tried && let Some(data) = find(&key[..length])? {
            // The rest keeps the case it was written in.
            return parse(data, &local[length - 1..]).ok_or(Trouble).map(Some);
        }
    }
    Ok(None)
}

/// Reads the six fields of a record, or of qmail-getpw's answer; `rest` goes
/// after the extension.
pub fn parse(data: &[u8], rest: &[u8]) -> Option<Assignment> {
    let data = data
        .strip_suffix(b"\0")
        .filter(|d| 5 <= zeros(d))
        .unwrap_or(data);
    let fields: Vec<&[u8]> = data.split(|&b| b == 0).collect();
    let [user, uid, gid, home, dash, ext] = fields[..] else {
        return None;
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    if user.is_empty() || !Path::new(OsStr::from_bytes(home)).is_absolute() {
        return None;
    }
    Some(Assignment {
        user: user.to_vec(),
        identity: Identity {
            uid: number(uid)?,
            gid: number(gid)?,
        },
        home: home.to_vec(),
        dash: dash.to_vec(),
        ext: [ext, rest].concat(),
    })
}

fn zeros(data: &[u8]) -> usize {
    data.iter().filter(|&&b| b == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(records: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut builder = cdb::Builder::default();
        for (key, data) in records {
            builder.add(key, data).unwrap();
        }
        builder.finish().unwrap()
    }

    fn found(content: &[u8], local: &[u8]) -> Option<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let hit = find(content, local).unwrap()?;
        Some((text(hit.user), text(hit.ext)))
    }

    #[test]
    fn exact_beats_long_prefix_beats_short_prefix() {
        let content = table(&[
            (b"!ann\0", b"ann\x001\x002\0/h\0\0"),
            (b"!ann-", b"annx\x001\x002\0/h\0-\0pre-"),
            (b"!", b"alias\x001\x002\0/h\0-\0"),
            (b"", b"-"),
        ]);
        let pair = |user: &str, ext: &str| Some((user.to_owned(), ext.to_owned()));
        assert_eq!(found(&content, b"ANN"), pair("ann", ""));
        assert_eq!(found(&content, b"Ann-List"), pair("annx", "pre-List"));
        assert_eq!(found(&content, b"Bob"), pair("alias", "Bob"));
    }

    #[test]
    fn a_prefix_counts_only_when_its_last_byte_is_wild() {
        let content = table(&[(b"!an", b"u\x001\x002\0/h\0-\0"), (b"", b"-")]);
        assert_eq!(found(&content, b"ann"), None);
    }

    #[test]
    fn a_table_nobody_finished_is_trouble_and_not_no() {
        assert_eq!(find(&table(&[]), b"ann"), Err(Trouble));
        assert_eq!(find(b"short", b"ann"), Err(Trouble));
        let lying = table(&[(b"!ann\0", b"ann\0x\x002\0/h\0\0"), (b"", b"")]);
        assert_eq!(find(&lying, b"ann"), Err(Trouble));
        let relative = table(&[(b"!ann\0", b"ann\x001\x002\0h\0\0"), (b"", b"")]);
        assert_eq!(find(&relative, b"ann"), Err(Trouble));
    }

    #[test]
    fn the_table_is_read_again_when_it_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let mut users = Users::new(directory.path());
        assert_eq!(users.find(b"ann"), Ok(None));
        let first = table(&[(b"!ann\0", b"one\x001\x002\0/h\0\0"), (b"", b"")]);
        std::fs::write(directory.path().join("cdb"), first).unwrap();
        assert_eq!(users.find(b"ann").unwrap().unwrap().user, b"one");
        let second = table(&[(b"!ann\0", b"second\x001\x002\0/h\0\0"), (b"", b"")]);
        os::file::replace(&directory.path().join("cdb"), &second, 0o644).unwrap();
        assert_eq!(users.find(b"ann").unwrap().unwrap().user, b"second");
    }

    #[test]
    fn the_answer_of_getpw_ends_in_a_nul() {
        let hit = parse(b"ann\x007\x008\0/home/ann\0-\0list\0", b"").unwrap();
        assert_eq!(hit.ext, b"list");
        let hit = parse(b"ann\x007\x008\0/home/ann\0\0\0", b"").unwrap();
        assert_eq!((hit.dash, hit.ext), (vec![], vec![]));
    }

    /// A line of `users/assign`: exact or a prefix, its address, its number.
    type Line = (bool, String, u32);

    /// Who a table gives an address to, by the words of qmail-users(5): the
    /// first exact line, else the longest prefix, and what is left of it.
    fn by_the_manual(lines: &[Line], local: &str) -> Option<(u32, String)> {
        let lower = local.to_ascii_lowercase();
        let exact = lines
            .iter()
            .find(|(exact, address, _)| *exact && *address == lower);
        let longest = lines.iter().map(|(_, address, _)| address.len()).max()?;
        let prefix = || {
            (0..=longest).rev().find_map(|length| {
                lines.iter().find(|(exact, address, _)| {
                    !exact && address.len() == length && lower.starts_with(address)
                })
            })
        };
        match exact {
            Some((_, _, number)) => Some((*number, String::new())),
            None => prefix().map(|(_, address, number)| (*number, local[address.len()..].into())),
        }
    }

    #[test]
    fn any_table_says_what_its_lines_say() {
        property::holds(|u| {
            let address = |u: &mut property::arbitrary::Unstructured<'_>| {
                let length = u.int_in_range(0..=4)?;
                (0..length)
                    .map(|_| u.choose(&["a", "b", "-", "."]).copied())
                    .collect::<property::arbitrary::Result<String>>()
            };
            let mut lines: Vec<Line> = Vec::new();
            for number in 0..u.int_in_range(0..=8)? {
                let (exact, address): (bool, String) = (u.arbitrary()?, address(u)?);
                if !exact || !address.is_empty() {
                    lines.push((exact, address, number));
                }
            }
            let mut table = String::new();
            for (exact, address, number) in &lines {
                let kind = if *exact { '=' } else { '+' };
                table += &format!("{kind}{address}:u{number}:{number}:7:/h:-:pre-:\n");
            }
            table.push_str(".\n");
            let content = directory::assign::compile(table.as_bytes()).unwrap();
            let mut local = address(u)? + &address(u)?;
            if u.arbitrary()? {
                local.make_ascii_uppercase();
            }
            let expected = by_the_manual(&lines, &local);
            let hit = find(&content, local.as_bytes()).unwrap();
            assert_eq!(hit.is_some(), expected.is_some(), "{table}{local}");
            if let (Some(hit), Some((number, rest))) = (hit, expected) {
                assert_eq!((hit.identity.uid, hit.identity.gid), (number, 7));
                assert_eq!(hit.user, format!("u{number}").into_bytes());
                assert_eq!((&hit.home[..], &hit.dash[..]), (&b"/h"[..], &b"-"[..]));
                assert_eq!(hit.ext, format!("pre-{rest}").into_bytes());
            }
            Ok(())
        });
    }
}
