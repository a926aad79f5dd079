//! Counting what a mailbox holds.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Trash, Usage};

/// When a directory was changed last: seconds and nanoseconds.
pub(super) type Modified = (i64, i64);

pub(super) fn modified(path: &Path) -> io::Result<Modified> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.mtime(), metadata.mtime_nsec()))
}

/// Counts once; also when each directory had been changed last.
pub(super) fn scan(maildir: &Path, trash: Trash) -> io::Result<(Usage, Vec<(PathBuf, Modified)>)> {
    let mut folders = vec![maildir.to_owned()];
    for entry in std::fs::read_dir(maildir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let skipped = name == b".Trash" && trash == Trash::Excluded;
        if name.starts_with(b".") && !skipped && entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    let (mut usage, mut seen) = (Usage::default(), Vec::new());
    for directory in folders.iter().flat_map(|f| [f.join("new"), f.join("cur")]) {
        match modified(&directory) {
            Ok(time) => seen.push((directory.clone(), time)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if let Some(bytes) = message_bytes(&entry, trash)? {
                usage = usage.with_message(bytes);
            }
        }
    }
    Ok((usage, seen))
}

/// The size of a message; `None` when it does not count or is gone.
fn message_bytes(entry: &std::fs::DirEntry, trash: Trash) -> io::Result<Option<u64>> {
    let name = entry.file_name();
    let name = name.as_encoded_bytes();
    if name.starts_with(b".") || (trash == Trash::Excluded && is_trashed(name)) {
        return Ok(None);
    }
    if let Some(bytes) = size_in_name(name) {
        return Ok(Some(bytes));
    }
    match entry.metadata() {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_trashed(name: &[u8]) -> bool {
    let info = name.windows(3).rposition(|window| window == b":2,");
    info.is_some_and(|at| name[at + 3..].contains(&b'T'))
}

/// The number after `,S=` in the name of a message.
pub fn size_in_name(name: &[u8]) -> Option<u64> {
    let at = name.windows(3).position(|window| window == b",S=")?;
    let digits = &name[at + 3..];
    let end = digits.iter().position(|b| !b.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    std::str::from_utf8(digits).ok()?.parse().ok()
}
