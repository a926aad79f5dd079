//! Not storing what a mailbox got a moment ago
//! (queue-and-delivery.md §6.11).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use settings::local;
use sha2::{Digest, Sha256};

use super::{Job, io_trouble};
use crate::outcome::Step;

/// Where a maildir remembers; the name says MD5 for old times' sake.
const FILE: &str = "dupmd5";
/// Longest file of remembered hashes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the message that count; more than any header.
const HASHED_BYTES_MAX: u64 = 1 << 20;
/// Fields that differ between copies of one message.
const SKIPPED: [&[u8]; 3] = [b"received:", b"delivered-to:", b"x-delivered-to:"];

/// What a maildir knows of a message.
pub(super) enum Copy {
    /// It is not asked to know, or cannot tell this message from others.
    Unknown,
    /// It got the same for the same recipient a moment ago.
    Seen,
    /// It did not; to be remembered under this hash once it is stored.
    New(String),
}

/// Looks a message up. Nothing is remembered yet: a delivery that fails after
/// this is tried again, and must not find itself.
pub(super) fn look_up(job: &Job<'_>, maildir: &Path) -> Step<Copy> {
    let settings = &job.site.settings;
    if settings.variable(local::ELIMINATE_DUPS.variable).is_none() {
        return Ok(Copy::Unknown);
    }
    let trouble = |error| io_trouble("look for duplicates", &error);
    let recipient = job.facts.recipient();
    let Some(hash) = hash(job.message, &recipient).map_err(trouble)? else {
        return Ok(Copy::Unknown);
    };
    let text = match std::fs::read(maildir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(trouble)?,
    };
    let text = String::from_utf8_lossy(&text);
    let now = os::clock::unix_seconds();
    let seen = young(&text, now, window(job)).any(|line| line.ends_with(&hash));
    Ok(if seen { Copy::Seen } else { Copy::New(hash) })
}

/// Remembers a message that is stored. When this fails a copy may be stored
/// too, which is no harm.
pub(super) fn remember(job: &Job<'_>, maildir: &Path, hash: &str) {
    let now = os::clock::unix_seconds();
    let _ = add(&maildir.join(FILE), hash, now, window(job));
}

fn window(job: &Job<'_>) -> i64 {
    let settings = &job.site.settings;
    settings.integer(&local::ELIMINATE_DUPS_INT).unwrap_or(900)
}

/// The entries that still count.
fn young(text: &str, now: i64, window: i64) -> impl Iterator<Item = &str> {
    text.lines().filter(move |line| {
        let time = line
            .split(' ')
            .next()
            .and_then(|time| time.parse::<i64>().ok());
        time.is_some_and(|time| now - window <= time && time <= now)
    })
}

/// Over the header without the fields of the way, and the recipient; `None`
/// without a Message-ID, for then two messages may have equal headers.
fn hash(message: &File, recipient: &[u8]) -> io::Result<Option<String>> {
    let mut digest = Sha256::new();
    digest.update(recipient);
    digest.update([0]);
    let mut text = vec![0; HASHED_BYTES_MAX as usize];
    let mut length = 0;
    loop {
        match message.read_at(&mut text[length..], length as u64)? {
            0 => break,
            got => length += got,
        }
    }
    let (mut skipping, mut identified) = (false, false);
    for line in text[..length].split_inclusive(|&b| b == b'\n') {
        if line == b"\n" {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let is = |name: &[u8]| {
                let start = line.get(..name.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            };
            skipping = SKIPPED.iter().any(|name| is(name));
            identified |= is(b"message-id:");
        }
        if !skipping {
            digest.update(line);
        }
    }
    let hash = digest.finalize();
    Ok(identified.then(|| hash.iter().map(|b| format!("{b:02x}")).collect()))
}

/// Under a lock: writes the entries that still count and a new one.
fn add(path: &Path, hash: &str, now: i64, window: i64) -> io::Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)?;
    let mut file = os::file::lock(file)?;
    let mut text = String::new();
    let _ = (&*file).take(FILE_BYTES_MAX).read_to_string(&mut text);
    let mut new: String = young(&text, now, window)
        .map(|line| format!("{line}\n"))
        .collect();
    new.push_str(&format!("{now} {hash}\n"));
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(new.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_file;

    #[test]
    fn the_way_a_copy_took_does_not_matter() {
        let hash = |text: &str| hash(&memory_file(text.as_bytes()).unwrap(), b"a@b").unwrap();
        let one = hash("Received: x\n\ty\nMessage-ID: <s>\n\nbody").unwrap();
        let two = hash("Received: z\nDelivered-To: q\nMessage-ID: <s>\n\nbody").unwrap();
        assert_eq!(one, two);
        assert_ne!(one, hash("message-id: <t>\n\nbody").unwrap());
        assert_eq!(hash("Subject: t\n\nMessage-ID: <x>\n"), None);
    }

    #[test]
    fn only_the_recent_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for (hash, now) in [("aa", 1000), ("bb", 1500), ("cc", 2000)] {
            add(&path, hash, now, 900).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "1500 bb\n2000 cc\n");
    }
}
