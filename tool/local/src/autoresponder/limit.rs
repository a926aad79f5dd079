//! Who got an answer, and when: files `PID.TIME.SENDER` in a directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use run::Exit;

/// Longest part of a sender in a name; longer ones share what they begin
/// with, and so their limit.
const SENDER_BYTES_MAX: usize = 180;
/// The file the others are links of, so that a thousand cost one inode.
const ONE_FILE: &str = ".one";

/// How often one sender is answered.
pub(super) struct Limit<'a> {
    pub directory: &'a Path,
    pub replies_max: usize,
    /// `None`: for ever.
    pub window_seconds: Option<i64>,
    /// One file with many names, where that works.
    pub links: bool,
}

/// An answer that counts.
pub(super) struct Remembered(PathBuf);

impl Remembered {
    /// It was not sent after all.
    pub(super) fn forget(self) {
        let _ = fs::remove_file(self.0);
    }
}

impl Limit<'_> {
    /// Counts an answer to a sender; `None` when there were enough.
    pub(super) fn take(&self, sender: &[u8], now: i64) -> Result<Option<Remembered>, Exit> {
        let trouble = |error: io::Error| {
            let text = format!("unable to use {}: {error}", self.directory.display());
            Exit::new(run::TEMPORARY, text)
        };
        match DirBuilder::new().mode(0o700).create(self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(trouble(error));
            }
            _ => {}
        }
        let lock = File::open(self.directory).map_err(trouble)?;
        let _lock = os::file::lock(lock).map_err(trouble)?;
        let name = part_of_name(sender);
        if self.replies_max <= self.count(&name, now).map_err(trouble)? {
            return Ok(None);
        }
        self.add(&name, now).map(Some).map_err(trouble)
    }

    /// Answers to a sender that still count; removes those of anybody that do
    /// not.
    fn count(&self, sender: &[u8], now: i64) -> io::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(self.directory)? {
            let entry = entry?;
            let name = entry.file_name().into_vec();
            let Some((time, of)) = parse(&name) else {
                continue;
            };
            let is_old = self
                .window_seconds
                .is_some_and(|window| time < now.saturating_sub(window));
            if is_old {
                let _ = fs::remove_file(entry.path());
            } else if of == sender {
                count += 1;
            }
        }
        Ok(count)
    }

    fn add(&self, sender: &[u8], now: i64) -> io::Result<Remembered> {
        let process = std::process::id();
        let name = [format!("{process}.{now}.").as_bytes(), sender].concat();
        let path = self.directory.join(std::ffi::OsStr::from_bytes(&name));
        if self.links {
            let one = self.directory.join(ONE_FILE);
            match create(&one) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            match fs::hard_link(&one, &path) {
                Ok(()) => return Ok(Remembered(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                // Too many links, or a file system without: a file of its own.
                Err(_) => {}
            }
        }
        create(&path)?;
        Ok(Remembered(path))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A sender that cannot lead out of the directory.
fn part_of_name(sender: &[u8]) -> Vec<u8> {
    let lower = sender.iter().take(SENDER_BYTES_MAX).map(|b| match b {
        b'/' => b':',
        b => b.to_ascii_lowercase(),
    });
    lower.collect()
}

/// Time and sender of a name.
fn parse(name: &[u8]) -> Option<(i64, &[u8])> {
    let mut parts = name.splitn(3, |&b| b == b'.');
    let _process: u32 = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let time = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((time, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(directory: &Path, replies_max: usize) -> Limit<'_> {
        Limit {
            directory,
            replies_max,
            window_seconds: Some(100),
            links: true,
        }
    }

    #[test]
    fn a_sender_is_answered_so_often_and_again_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let limit = limit(&path, 1);
        let take = |sender: &str, now| limit.take(sender.as_bytes(), now).unwrap().is_some();
        assert!(take("ann@x", 1000));
        assert!(!take("Ann@X", 1050));
        assert!(take("bob@x", 1050));
        assert!(take("ann@x", 1101));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn an_answer_that_was_not_sent_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let limit = limit(directory.path(), 1);
        limit.take(b"ann@x", 1000).unwrap().unwrap().forget();
        assert!(limit.take(b"ann@x", 1000).unwrap().is_some());
    }

    #[test]
    fn no_sender_leads_out_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        fs::create_dir_all(&path).unwrap();
        let limit = limit(&path, 1);
        let long = "x".repeat(2000);
        for sender in ["/../../evil@x", "../evil@x", &long] {
            assert!(limit.take(sender.as_bytes(), 1000).unwrap().is_some());
            assert!(limit.take(sender.as_bytes(), 1000).unwrap().is_none());
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(directory.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_name_tells_when_and_who() {
        property::holds(|u| {
            let (process, time): (u32, i64) = u.arbitrary()?;
            let sender = part_of_name(u.arbitrary()?);
            let name = [format!("{process}.{time}.").as_bytes(), &sender].concat();
            assert_eq!(parse(&name), Some((time, &sender[..])));
            Ok(())
        });
    }
}
