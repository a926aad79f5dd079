//! A message on its way into a folder, still in `tmp`.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::flags::FlagSet;
use crate::name;

/// A file in `tmp` that did not change for this long has no writer any more
/// (maildir(5): 36 hours).
const ABANDONED_SECONDS: i64 = 36 * 60 * 60;

/// A message being written. [`crate::Mailbox::commit`] makes it visible; when
/// it is dropped before, nothing is left behind.
///
/// Write the message with CR LF or LF line ends; on disk it has LF.
#[derive(Debug)]
pub struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) wire_size: Option<u64>,
    pub(crate) flags: FlagSet,
    pub(crate) internal_date: i64,
    content: Content,
    cr_pending: bool,
}

#[derive(Debug)]
enum Content {
    /// Being written.
    Open(BufWriter<File>),
    /// Complete and synced: a link to a message that was.
    Complete,
}

impl Staged {
    /// Creates an empty file in the `tmp` of a folder.
    pub(crate) fn create(folder: &Path, flags: FlagSet, internal_date: i64) -> Result<Self> {
        let path = folder.join("tmp").join(name::unique(0));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        Ok(Self {
            path,
            size: 0,
            wire_size: Some(0),
            flags,
            internal_date,
            content: Content::Open(BufWriter::with_capacity(64 * 1024, file)),
            cr_pending: false,
        })
    }

    /// Puts an existing message into the `tmp` of a folder: a hard link, or a
    /// copy when that is not possible. `NotFound` when the message moved.
    pub(crate) fn of_file(
        source: &Path,
        folder: &Path,
        size: u64,
        wire_size: Option<u64>,
        flags: FlagSet,
        internal_date: i64,
    ) -> io::Result<Self> {
        let path = folder.join("tmp").join(name::unique(0));
        let staged = Self {
            path,
            size,
            wire_size,
            flags,
            internal_date,
            content: Content::Complete,
            cr_pending: false,
        };
        match std::fs::hard_link(source, &staged.path) {
            Ok(()) => Ok(staged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            // Another file system, too many links, or no links at all.
            Err(_) => staged.copied_from(source),
        }
    }

    fn copied_from(mut self, source: &Path) -> io::Result<Self> {
        let mut from = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(source)?;
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        self.size = io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        Ok(self)
    }

    /// Bytes written so far, as they will be on disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the content durable.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if self.cr_pending {
            self.cr_pending = false;
            self.put(b"\r").map_err(Error::io("write", &self.path))?;
        }
        if let Content::Open(writer) = &mut self.content {
            writer.flush().map_err(Error::io("write", &self.path))?;
            writer
                .get_ref()
                .sync_all()
                .map_err(Error::io("sync", &self.path))?;
            self.content = Content::Complete;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Content::Open(writer) = &mut self.content else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        writer.write_all(bytes)?;
        let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.size += bytes.len() as u64;
        self.wire_size = self.wire_size.map(|size| size + bytes.len() as u64 + lines);
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.cr_pending && bytes[0] != b'\n' {
            self.put(b"\r")?;
        }
        self.cr_pending = false;
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\r', rest) {
            match rest.get(at + 1) {
                Some(b'\n') => self.put(&rest[..at])?,
                Some(_) => self.put(&rest[..=at])?,
                None => {
                    self.put(&rest[..at])?;
                    self.cr_pending = true;
                }
            }
            rest = &rest[at + 1..];
        }
        self.put(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.content {
            Content::Open(writer) => writer.flush(),
            Content::Complete => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Once it is committed there is nothing at this path any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Sets the time of change of a message that has its final name: it tells
/// other programs when the message arrived. Ours find that in the name and the
/// index, so it need not succeed. (In `tmp` an old time would invite cleaners.)
pub(crate) fn set_modified(path: &Path, seconds: i64) {
    if let Ok(seconds) = u64::try_from(seconds)
        && let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
        && let Ok(file) = OpenOptions::new()
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)
    {
        let _ = file.set_times(FileTimes::new().set_modified(time));
    }
}

/// Removes what writers left in the `tmp` of a folder when they died.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder.join("tmp")) else {
        return;
    };
    let limit = os::clock::unix_seconds() - ABANDONED_SECONDS;
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.ctime() < limit);
        if old {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_lf_wherever_the_bytes_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let text = b"a\r\nb\nc\r\r\nd\re\r\n\r";
        for cut in 0..text.len() {
            let mut staged = Staged::create(folder.path(), FlagSet::default(), 1).unwrap();
            staged.write_all(&text[..cut]).unwrap();
            staged.write_all(&text[cut..]).unwrap();
            staged.finish().unwrap();
            let stored = std::fs::read(&staged.path).unwrap();
            assert_eq!(stored, b"a\nb\nc\r\nd\re\n\r");
            assert_eq!(staged.size, stored.len() as u64);
        }
        let left = std::fs::read_dir(folder.path().join("tmp")).unwrap();
        assert_eq!(left.count(), 0, "nothing is left behind");
    }
}
