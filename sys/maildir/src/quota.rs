//! How much a mailbox holds and may hold: quota texts and `maildirsize`
//! (Maildir++; virtual-domains.md §5.3 and §7.10).
//!
//! `maildirsize` is a cache: its first line is the quota it was made for,
//! every further line what one delivery or removal changed. It is never
//! synced and may be lost; then the messages are counted again.

mod scan;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

pub use scan::size_in_name;
use scan::{modified, scan};

/// From this size on the file is made anew.
const FILE_BYTES_MAX: u64 = 5120;
/// A file that says "over quota" is believed for this long when it has only
/// one entry.
const OVER_BELIEVED_SECONDS: i64 = 15 * 60;
/// A file is believed for this long.
const BELIEVED_SECONDS: i64 = 12 * 60 * 60;
/// Counts before giving up on a mailbox that changes all the time.
const COUNTS_MAX: u32 = 3;

/// Limits of a mailbox; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Most bytes.
    pub bytes: Option<u64>,
    /// Most messages.
    pub messages: Option<u64>,
}

/// What a mailbox holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Bytes of all messages.
    pub bytes: i64,
    /// Number of messages.
    pub messages: i64,
}

/// Does mail in `.Trash` count?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Trash {
    /// No, and neither do messages flagged as deleted.
    #[default]
    Excluded,
    /// Yes.
    Included,
}

impl Quota {
    /// Reads `NOQUOTA`, `BYTES`, `BYTESS` or `BYTESS,COUNTC`, each number
    /// with an optional k, M or G. A limit of 0 is no limit; the two halves
    /// are independent of each other.
    pub fn parse(text: &[u8]) -> Self {
        let (bytes, messages) = match text.iter().position(|&b| b == b',') {
            Some(comma) => (&text[..comma], &text[comma + 1..]),
            None => (text, &b""[..]),
        };
        let limit = |half| Some(number(half)).filter(|&limit| limit != 0);
        Self {
            bytes: limit(bytes),
            messages: limit(messages),
        }
    }

    /// The first line of `maildirsize`, without its newline.
    pub fn to_line(self) -> String {
        let bytes = self.bytes.unwrap_or(0);
        match self.messages {
            Some(messages) => format!("{bytes}S,{messages}C"),
            None => format!("{bytes}S"),
        }
    }

    /// Says whether there is no limit at all.
    pub fn is_unlimited(self) -> bool {
        self == Self::default()
    }

    /// Says whether a mailbox with this usage is beyond a limit.
    pub fn is_exceeded_by(self, usage: Usage) -> bool {
        let beyond = |limit: Option<u64>, used: i64| {
            limit.is_some_and(|limit| u64::try_from(used).is_ok_and(|used| limit < used))
        };
        beyond(self.bytes, usage.bytes) || beyond(self.messages, usage.messages)
    }
}

/// A leading integer as C reads it (`0x` and `0` prefixes), times what its
/// suffix says. 0 when there is none.
fn number(text: &[u8]) -> u64 {
    let text = text.trim_ascii();
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        rest => (10, rest),
    };
    let end = digits.iter().position(|&b| !char::from(b).is_digit(radix));
    let (digits, suffix) = digits.split_at(end.unwrap_or(digits.len()));
    let value = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, radix).ok())
        .unwrap_or(0);
    let factor: u64 = match suffix.first() {
        Some(b'k' | b'K') => 1 << 10,
        Some(b'm' | b'M') => 1 << 20,
        Some(b'g' | b'G') => 1 << 30,
        _ => 1,
    };
    value.saturating_mul(factor)
}

impl Usage {
    /// This and one more message.
    pub fn with_message(self, bytes: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_add_unsigned(bytes),
            messages: self.messages.saturating_add(1),
        }
    }
}

/// What the mailbox holds, from `maildirsize` if that can be believed, else
/// counted. `incoming` is the size of a message about to be added: a file
/// that would refuse it is checked by counting, unless it is fresh.
pub fn usage(
    maildir: &Path,
    quota: Quota,
    incoming: Option<u64>,
    trash: Trash,
) -> io::Result<Usage> {
    match cached(maildir)? {
        Some(cache) if cache.is_believable(quota, incoming) => Ok(cache.usage),
        _ => count(maildir, quota, trash),
    }
}

/// Notes that messages came (positive) or went (negative). Without a file the
/// mailbox is counted, which sees the change already.
pub fn record(maildir: &Path, quota: Quota, change: Usage, trash: Trash) -> io::Result<()> {
    let opened = OpenOptions::new()
        .append(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(maildir.join("maildirsize"));
    match opened {
        // One write with O_APPEND: lines of several processes do not mix.
        Ok(mut file) if file.metadata()?.len() < FILE_BYTES_MAX => {
            file.write_all(format!("{} {}\n", change.bytes, change.messages).as_bytes())
        }
        Ok(_) => count(maildir, quota, trash).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            count(maildir, quota, trash).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Counts all messages and makes `maildirsize` anew.
pub fn count(maildir: &Path, quota: Quota, trash: Trash) -> io::Result<Usage> {
    let mut tries = 0;
    loop {
        let (usage, before) = scan(maildir, trash)?;
        tries += 1;
        let unchanged = before
            .iter()
            .all(|(path, time)| modified(path).ok().as_ref() == Some(time));
        if unchanged || tries == COUNTS_MAX {
            write_file(maildir, quota, usage)?;
            return Ok(usage);
        }
    }
}

/// The content of `maildirsize`.
struct Cache {
    first_line: Vec<u8>,
    usage: Usage,
    entries: usize,
    bytes: u64,
    age_seconds: i64,
}

impl Cache {
    fn is_believable(&self, quota: Quota, incoming: Option<u64>) -> bool {
        let after = incoming.map_or(self.usage, |bytes| self.usage.with_message(bytes));
        let over = quota.is_exceeded_by(after);
        let same = Quota::parse(&self.first_line) == quota;
        same && self.bytes < FILE_BYTES_MAX
            && 0 <= self.usage.bytes
            && 0 <= self.usage.messages
            && self.age_seconds < BELIEVED_SECONDS
            && !(over && (1 < self.entries || OVER_BELIEVED_SECONDS <= self.age_seconds))
    }
}

fn cached(maildir: &Path) -> io::Result<Option<Cache>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(maildir.join("maildirsize"));
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let metadata = file.metadata()?;
    let mut content = Vec::new();
    file.take(2 * FILE_BYTES_MAX).read_to_end(&mut content)?;
    let mut lines = content
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty());
    let first_line = lines.next().unwrap_or_default().to_vec();
    let (mut usage, mut entries) = (Usage::default(), 0);
    for line in lines {
        let Some(change) = entry(line) else {
            return Ok(None);
        };
        usage.bytes = usage.bytes.saturating_add(change.bytes);
        usage.messages = usage.messages.saturating_add(change.messages);
        entries += 1;
    }
    Ok(Some(Cache {
        first_line,
        usage,
        entries,
        bytes: metadata.len(),
        age_seconds: os::clock::unix_seconds() - metadata.mtime(),
    }))
}

/// One line: two signed numbers, padded with blanks by some writers.
fn entry(line: &[u8]) -> Option<Usage> {
    let mut numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let usage = Usage {
        bytes: numbers.next()?.parse().ok()?,
        messages: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(usage)
}

/// Written beside and renamed over, so that a reader sees a whole file.
fn write_file(maildir: &Path, quota: Quota, usage: Usage) -> io::Result<()> {
    let temporary = maildir.join("tmp").join(format!(
        "maildirsize.{}.{:x}",
        std::process::id(),
        os::clock::random()
    ));
    let write = || {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let line = quota.to_line();
        write!(file, "{line}\n{} {}\n", usage.bytes, usage.messages)?;
        std::fs::rename(&temporary, maildir.join("maildirsize"))
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir(messages: &[(&str, usize)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tmp", "new", "cur", ".A/cur", ".Trash/cur"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        for (name, bytes) in messages {
            std::fs::write(directory.path().join(name), vec![b'x'; *bytes]).unwrap();
        }
        directory
    }

    fn size_file(directory: &tempfile::TempDir) -> String {
        std::fs::read_to_string(directory.path().join("maildirsize")).unwrap()
    }

    #[test]
    fn quota_texts_of_the_guide() {
        let quota = |bytes, messages| Quota { bytes, messages };
        assert_eq!(
            Quota::parse(b"10000000S,1000C"),
            quota(Some(10_000_000), Some(1000))
        );
        assert_eq!(Quota::parse(b"NOQUOTA"), quota(None, None));
        assert_eq!(Quota::parse(b"0S"), quota(None, None));
        assert_eq!(Quota::parse(b"0S,5C"), quota(None, Some(5)));
        assert_eq!(Quota::parse(b"5M"), quota(Some(5 << 20), None));
        assert_eq!(Quota::parse(b"1k,2kC"), quota(Some(1024), Some(2048)));
        assert_eq!(Quota::parse(b"10S,3C"), quota(Some(10), Some(3)));
        assert_eq!(Quota::parse(b"0x10"), quota(Some(16), None));
        assert_eq!(Quota::parse(b""), quota(None, None));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        property::holds(|u| {
            let quota = Quota {
                bytes: Some(u.arbitrary()?).filter(|&b| b != 0),
                messages: Some(u.arbitrary()?).filter(|&m| m != 0),
            };
            assert_eq!(Quota::parse(quota.to_line().as_bytes()), quota);
            Ok(())
        });
    }

    #[test]
    fn everything_but_trash_counts() {
        let directory = maildir(&[
            ("new/1.a,S=100", 5),
            ("cur/2.a:2,S", 7),
            ("cur/3.a,S=50:2,ST", 50),
            (".A/cur/4.a,S=1000:2,", 1),
            (".Trash/cur/5.a,S=9", 9),
        ]);
        let quota = Quota::parse(b"5000S,10C");
        let usage = count(directory.path(), quota, Trash::Excluded).unwrap();
        assert_eq!((usage.bytes, usage.messages), (1107, 3));
        assert_eq!(size_file(&directory), "5000S,10C\n1107 3\n");
        let usage = count(directory.path(), quota, Trash::Included).unwrap();
        assert_eq!((usage.bytes, usage.messages), (1166, 5));
    }

    #[test]
    fn entries_add_up_until_they_cannot_be_believed() {
        let directory = maildir(&[("new/1.a,S=100", 100)]);
        let quota = Quota::parse(b"1000S");
        std::fs::write(
            directory.path().join("maildirsize"),
            "1000S\n         300 2\n-100 -1\n",
        )
        .unwrap();
        let seen = usage(directory.path(), quota, None, Trash::Excluded).unwrap();
        assert_eq!((seen.bytes, seen.messages), (200, 1));
        // Another quota, or a refusal from several entries: count.
        let seen = usage(directory.path(), quota, Some(900), Trash::Excluded).unwrap();
        assert_eq!((seen.bytes, seen.messages), (100, 1));
        let change = Usage {
            bytes: 7,
            messages: 1,
        };
        record(directory.path(), quota, change, Trash::Excluded).unwrap();
        assert_eq!(size_file(&directory), "1000S\n100 1\n7 1\n");
        let other = Quota::parse(b"2000S");
        let seen = usage(directory.path(), other, None, Trash::Excluded).unwrap();
        assert_eq!((seen.bytes, seen.messages), (100, 1));
    }

    #[test]
    fn nonsense_in_the_file_is_counted_away() {
        let directory = maildir(&[("new/1.a,S=100", 100)]);
        for content in [
            "",
            "x\ny z\n",
            "1000S\n-5 1\n",
            "1000S\n99999999999999999999 1\n",
        ] {
            std::fs::write(directory.path().join("maildirsize"), content).unwrap();
            let seen = usage(
                directory.path(),
                Quota::parse(b"1000S"),
                None,
                Trash::Excluded,
            );
            assert_eq!(seen.unwrap().bytes, 100, "{content:?}");
        }
    }

    #[test]
    fn a_file_that_grew_too_long_is_made_anew() {
        let directory = maildir(&[]);
        let quota = Quota::default();
        for _ in 0..2000 {
            let change = Usage {
                bytes: 1,
                messages: 1,
            };
            record(directory.path(), quota, change, Trash::Excluded).unwrap();
        }
        assert!(size_file(&directory).len() < 6000);
        assert!(size_file(&directory).starts_with("0S\n"));
    }

    #[test]
    fn what_was_noted_adds_up() {
        let directory = maildir(&[]);
        let quota = Quota::parse(b"1000000000S,1000000C");
        let mut held = count(directory.path(), quota, Trash::Excluded).unwrap();
        property::holds(|u| {
            // As the mailbox grows only, the file is never doubted; counting
            // again would find it empty.
            let change = Usage {
                bytes: i64::from(u.arbitrary::<u16>()?),
                messages: i64::from(u.arbitrary::<u8>()?),
            };
            let path = directory.path().join("maildirsize");
            if FILE_BYTES_MAX <= std::fs::metadata(&path).unwrap().len() + 40 {
                held = count(directory.path(), quota, Trash::Excluded).unwrap();
            }
            record(directory.path(), quota, change, Trash::Excluded).unwrap();
            held.bytes += change.bytes;
            held.messages += change.messages;
            let read = usage(directory.path(), quota, None, Trash::Excluded).unwrap();
            assert_eq!((read.bytes, read.messages), (held.bytes, held.messages));
            Ok(())
        });
    }
}
