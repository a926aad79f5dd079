//! The messages of a maildir that are to be sent on.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest of the two lines in front of a message.
const LINE_BYTES_MAX: u64 = 4096;
const RETURN_PATH: &[u8] = b"Return-Path: <";
const DELIVERED_TO: &[u8] = b"Delivered-To: ";

/// A message that waits.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Waiting {
    /// When it came.
    pub changed: (i64, i64),
    /// Its name below the maildir.
    pub name: PathBuf,
}

/// A message, opened: who it is from and for, and the rest of the file after
/// the two lines that say so.
#[derive(Debug)]
pub struct Message {
    pub sender: Vec<u8>,
    /// With its prefix.
    pub recipient: Vec<u8>,
    /// Stands behind the two lines.
    pub file: File,
    /// Bytes from there on.
    pub bytes: u64,
}

/// The messages of a maildir.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that came before now, oldest first.
    pub ready: Vec<Waiting>,
    /// Those of this very second, or dated later: one of them may have a
    /// brother to come that looks as old as it is.
    pub young: Vec<Waiting>,
}

/// Finds the messages for addresses that begin with `prefix`.
pub fn list(maildir: &Path, prefix: &[u8], now: i64) -> io::Result<Listing> {
    let mut all = Listing::default();
    for directory in ["new", "cur"] {
        for entry in fs::read_dir(maildir.join(directory))? {
            let entry = entry?;
            let file = entry.file_name();
            if file.as_bytes().starts_with(b".") || file.as_bytes().contains(&b'\n') {
                continue;
            }
            let metadata = match entry.metadata() {
                Ok(metadata) if metadata.is_file() => metadata,
                Ok(_) => continue,
                // Somebody read it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = Path::new(directory).join(file);
            let is_ours = || {
                let message = Message::open(maildir, &name)?;
                Ok::<_, io::Error>(message.is_some_and(|m| m.recipient.starts_with(prefix)))
            };
            if is_ours()? {
                let place = match metadata.mtime() < now {
                    true => &mut all.ready,
                    false => &mut all.young,
                };
                place.push(Waiting {
                    changed: (metadata.mtime(), metadata.mtime_nsec()),
                    name,
                });
            }
        }
    }
    all.ready.sort();
    Ok(all)
}

impl Message {
    /// Opens a message; `None` when it does not begin with the two lines of a
    /// delivery.
    pub fn open(maildir: &Path, name: &Path) -> io::Result<Option<Self>> {
        let mut file = File::options()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(maildir.join(name))?;
        let mut lines = BufReader::new((&file).take(2 * LINE_BYTES_MAX));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        lines.read_until(b'\n', &mut first)?;
        lines.read_until(b'\n', &mut second)?;
        let sender = first
            .strip_prefix(RETURN_PATH)
            .and_then(|rest| rest.strip_suffix(b">\n"));
        let recipient = second
            .strip_prefix(DELIVERED_TO)
            .and_then(|rest| rest.strip_suffix(b"\n"));
        let (Some(sender), Some(recipient)) = (sender, recipient) else {
            return Ok(None);
        };
        let start = (first.len() + second.len()) as u64;
        file.seek(io::SeekFrom::Start(start))?;
        let bytes = file.metadata()?.len().saturating_sub(start);
        Ok(Some(Self {
            sender: unquoted(sender),
            recipient: recipient.to_vec(),
            file,
            bytes,
        }))
    }
}

/// An address as the envelope has it: the header line may quote its local
/// part.
fn unquoted(address: &[u8]) -> Vec<u8> {
    let at = address.iter().rposition(|&b| b == b'@');
    let (local, host) = address.split_at(at.unwrap_or(address.len()));
    let Some(inner) = local
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return address.to_vec();
    };
    let mut out = Vec::new();
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            byte => out.push(byte),
        }
    }
    out.extend_from_slice(host);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_its_two_lines_in_that_order() {
        let directory = tempfile::tempdir().unwrap();
        let open = |content: &str| {
            fs::write(directory.path().join("m"), content).unwrap();
            Message::open(directory.path(), Path::new("m")).unwrap()
        };
        let message =
            open("Return-Path: <\"a b\"@x>\nDelivered-To: p-joe@y\nX: 1\n\nhi\n").unwrap();
        assert_eq!(message.sender, b"a b@x");
        assert_eq!(message.recipient, b"p-joe@y");
        let mut rest = String::new();
        (&message.file).read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), message.bytes), ("X: 1\n\nhi\n", 9));
        assert!(open("Delivered-To: p-joe@y\nReturn-Path: <a@x>\n").is_none());
        assert!(open("Subject: x\n").is_none() && open("").is_none());
        assert_eq!(
            open("Return-Path: <>\nDelivered-To: p-joe@y\n")
                .unwrap()
                .bytes,
            0
        );
    }

    #[test]
    fn only_older_messages_with_the_prefix_are_listed_by_age() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (name, to, age) in [
            ("new/b", "p-joe@y", 20),
            ("cur/a:2,S", "p-ann@y", 30),
            ("new/c", "other@y", 40),
            ("new/d", "p-now@y", 0),
            ("new/.e", "p-x@y", 50),
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(
                root.join(name),
                format!("Return-Path: <s@x>\nDelivered-To: {to}\n"),
            )
            .unwrap();
            let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age);
            let file = File::options().write(true).open(root.join(name)).unwrap();
            file.set_modified(then).unwrap();
        }
        let found = list(root, b"p-", 1000).unwrap();
        let names = |all: Vec<Waiting>| -> Vec<PathBuf> {
            all.into_iter().map(|waiting| waiting.name).collect()
        };
        let expected = [Path::new("cur/a:2,S"), Path::new("new/b")];
        assert_eq!(names(found.ready), expected);
        assert_eq!(names(found.young), [Path::new("new/d")]);
    }
}
