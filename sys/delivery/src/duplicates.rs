//! What a maildir got a moment ago (queue-and-delivery.md §6.11).
//!
//! The file `dupmd5` of a maildir has a line for each message: when it came,
//! its fingerprint, and, where that was asked for, which copy it was. It is
//! replaced as a whole under a lock on the maildir.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Where a maildir remembers; the name says MD5 for old times' sake.
const FILE: &str = "dupmd5";
/// Longest file of remembered fingerprints.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the message that count; more than any header.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// Fields that differ between copies of one message.
const SKIPPED: [&[u8]; 3] = [b"received:", b"delivered-to:", b"x-delivered-to:"];

/// One message as its recipient sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    /// The same for all copies of a message.
    same: String,
    /// Different for each copy, for each came another way.
    copy: String,
}

impl Fingerprint {
    /// Over the recipient, the Message-ID and `chosen`, else the header
    /// without the fields of the way. `None` without a Message-ID, for then
    /// two messages may have equal headers.
    pub fn of(message: &File, recipient: &[u8], chosen: Option<&[u8]>) -> io::Result<Option<Self>> {
        let header = header(message)?;
        let mut same = Sha256::new();
        same.update(recipient);
        same.update([0]);
        let (mut skipping, mut identified) = (false, false);
        for line in header.split_inclusive(|&b| b == b'\n') {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                let is = |name: &[u8]| {
                    let start = line.get(..name.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(name))
                };
                let is_id = is(b"message-id:");
                skipping = match chosen {
                    Some(_) => !is_id,
                    None => SKIPPED.iter().any(|name| is(name)),
                };
                identified |= is_id;
            }
            if !skipping {
                same.update(line);
            }
        }
        if let Some(chosen) = chosen {
            same.update([0]);
            same.update(chosen);
        }
        Ok(identified.then(|| Self {
            same: hex(same),
            copy: hex(Sha256::new().chain_update(&header)),
        }))
    }
}

fn hex(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes up to the first empty line.
fn header(message: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0; HEADER_BYTES_MAX];
    let mut length = 0;
    while length < text.len() {
        match message.read_at(&mut text[length..], length as u64) {
            Ok(0) => break,
            Ok(got) => length += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    text.truncate(length);
    if let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
        text.truncate(end + 1);
    }
    Ok(text)
}

/// The memory of one maildir.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// The maildir.
    pub maildir: &'a Path,
    /// For how many seconds it remembers.
    pub window_seconds: i64,
}

impl Memory<'_> {
    /// Says whether the maildir got this message. Nothing is remembered: a
    /// delivery that fails after this is tried again, and must not find
    /// itself.
    pub fn has(&self, message: &Fingerprint) -> io::Result<bool> {
        let text = self.read()?;
        let now = os::clock::unix_seconds();
        Ok(self
            .young(&text, now)
            .any(|line| entry(line).0 == message.same))
    }

    /// Remembers a message that is stored.
    pub fn remember(&self, message: &Fingerprint) -> io::Result<()> {
        let _lock = os::file::lock(File::open(self.maildir)?)?;
        let now = os::clock::unix_seconds();
        self.add(now, &message.same)
    }

    /// Remembers a message before it is stored, and says whether another copy
    /// of it was remembered. When the delivery fails and is tried again with
    /// the same copy, that is not another one.
    pub fn is_another_copy(&self, message: &Fingerprint) -> io::Result<bool> {
        let _lock = os::file::lock(File::open(self.maildir)?)?;
        let text = self.read()?;
        let now = os::clock::unix_seconds();
        let known = self
            .young(&text, now)
            .map(entry)
            .find(|(same, _)| *same == message.same);
        match known {
            Some((_, copy)) => Ok(copy != message.copy),
            None => {
                self.add(now, &format!("{} {}", message.same, message.copy))?;
                Ok(false)
            }
        }
    }

    fn read(&self) -> io::Result<String> {
        let opened = File::options()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(self.maildir.join(FILE));
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            result => result?,
        };
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The entries that still count.
    fn young<'t>(&self, text: &'t str, now: i64) -> impl Iterator<Item = &'t str> {
        let window = self.window_seconds;
        text.lines().filter(move |line| {
            let time = line
                .split(' ')
                .next()
                .and_then(|time| time.parse::<i64>().ok());
            time.is_some_and(|time| now.saturating_sub(window) <= time && time <= now)
        })
    }

    /// Under the lock: writes the entries that still count and a new one.
    fn add(&self, now: i64, entry: &str) -> io::Result<()> {
        let text = self.read()?;
        let mut new: String = self
            .young(&text, now)
            .map(|line| format!("{line}\n"))
            .collect();
        new.push_str(&format!("{now} {entry}\n"));
        // Too many at once: the oldest are forgotten.
        while FILE_BYTES_MAX < new.len() as u64 {
            let end = new.find('\n').map_or(new.len(), |end| end + 1);
            new.drain(..end);
        }
        os::file::replace(&self.maildir.join(FILE), new.as_bytes(), 0o600)
    }
}

/// Fingerprint and copy of a line; the copy may be missing.
fn entry(line: &str) -> (&str, &str) {
    let mut words = line.split(' ').skip(1);
    (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_file;

    fn of(text: &str) -> Option<Fingerprint> {
        Fingerprint::of(&memory_file(text.as_bytes()).unwrap(), b"a@b", None).unwrap()
    }

    #[test]
    fn the_way_a_copy_took_does_not_matter() {
        let one = of("Received: x\n\ty\nMessage-ID: <s>\n\nbody").unwrap();
        let two = of("Received: z\nDelivered-To: q\nMessage-ID: <s>\n\nbody").unwrap();
        assert_eq!(one.same, two.same);
        assert_ne!(one.copy, two.copy);
        assert_ne!(one.same, of("message-id: <t>\n\nbody").unwrap().same);
        assert_eq!(of("Subject: t\n\nMessage-ID: <x>\n"), None);
    }

    #[test]
    fn what_a_program_chooses_counts_with_the_id() {
        let of = |id: &str, chosen: &[u8]| {
            let subject = os::clock::random();
            let text = format!("Subject: {subject}\nMessage-ID: {id}\n\nbody");
            let message = memory_file(text.as_bytes()).unwrap();
            let found = Fingerprint::of(&message, b"a@b", Some(chosen)).unwrap();
            found.unwrap().same
        };
        assert_ne!(of("<s>", b"x"), of("<s>", b"y"));
        assert_ne!(of("<s>", b"x"), of("<t>", b"x"));
        assert_eq!(of("<s>", b"x"), of("<s>", b"x"));
    }

    #[test]
    fn only_the_recent_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory {
            maildir: directory.path(),
            window_seconds: 900,
        };
        for (hash, now) in [("aa", 1000), ("bb", 1500), ("cc", 2000)] {
            memory.add(now, hash).unwrap();
        }
        assert_eq!(memory.read().unwrap(), "1500 bb\n2000 cc\n");
    }

    #[test]
    fn a_second_try_of_one_copy_is_no_duplicate() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory {
            maildir: directory.path(),
            window_seconds: 900,
        };
        let one = of("Received: x\nMessage-ID: <s>\n\n").unwrap();
        let two = of("Received: y\nMessage-ID: <s>\n\n").unwrap();
        for (message, duplicate) in [(&one, false), (&one, false), (&two, true), (&one, false)] {
            assert_eq!(memory.is_another_copy(message).unwrap(), duplicate);
        }
        assert!(memory.has(&two).unwrap());
    }

    #[test]
    fn a_link_in_place_of_the_memory_leads_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, directory.path().join(FILE)).unwrap();
        let memory = Memory {
            maildir: directory.path(),
            window_seconds: 900,
        };
        let message = of("Message-ID: <s>\n\n").unwrap();
        assert!(memory.remember(&message).is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn what_is_remembered_is_known_and_nothing_else() {
        property::holds(|u| {
            let directory = tempfile::tempdir().unwrap();
            let memory = Memory {
                maildir: directory.path(),
                window_seconds: 900,
            };
            // As older software wrote it: a time and a hash, no copy.
            let now = os::clock::unix_seconds();
            let foreign: u64 = u.arbitrary()?;
            let old = format!("{} {foreign:032x}\n", now - 5);
            std::fs::write(directory.path().join(FILE), old).unwrap();
            let fingerprint = |same: String| Fingerprint {
                same,
                copy: "c".to_owned(),
            };
            let mut known = vec![format!("{foreign:032x}")];
            for _ in 0..u.int_in_range(0..=4)? {
                let hash = format!("{:064x}", u.arbitrary::<u64>()?);
                match u.arbitrary()? {
                    true => memory.remember(&fingerprint(hash.clone())).unwrap(),
                    false => drop(memory.is_another_copy(&fingerprint(hash.clone())).unwrap()),
                }
                known.push(hash);
            }
            for hash in &known {
                assert!(memory.has(&fingerprint(hash.clone())).unwrap());
            }
            let other = format!("{:065x}", u.arbitrary::<u64>()?);
            assert!(!memory.has(&fingerprint(other)).unwrap());
            Ok(())
        });
    }
}
