//! Files used again instead of removed and created.
//!
//! Creating a file and removing it is most of what a queue costs a file
//! system: an inode found and initialised, blocks allocated, and all of it
//! given back a moment later. qmail-clean therefore moves small finished
//! files into `spare`, under their inode numbers, and qmail-queued writes the
//! next messages into them. Only qmail-queued takes files out, while it holds
//! the lock of the directory.
//!
//! What is in `spare` from another process, or from before a crash, is
//! removed first: after a power cut a file could be there and still be a
//! message. A file with a second name is never used, nor one that somebody
//! still has open: a delivery that was given up, but goes on, must not read
//! somebody else's mail.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use os::file::Lock;

/// Larger files are removed: what is kept takes this times
/// [`SPARES_MAX`] at most.
const SPARE_BYTES_MAX: u64 = 64 * 1024;
/// Files kept, about.
const SPARES_MAX: usize = 512;
/// Files moved there between two counts.
const MOVES_PER_COUNT: usize = 64;
/// How long an empty directory is not looked into.
const EMPTY_PAUSE: Duration = Duration::from_millis(20);

fn directory(queue: &Path) -> PathBuf {
    queue.join("spare")
}

/// The files of one queue that may be written again.
#[derive(Debug)]
pub struct Spares {
    directory: PathBuf,
    known: Mutex<Known>,
    _lock: Lock,
}

#[derive(Debug)]
struct Known {
    names: Vec<OsString>,
    /// Given to somebody who has not said that it is a message now.
    taken: HashSet<OsString>,
    next_look: Instant,
}

/// A file to be written from its start, under its name in `spare` until it is
/// renamed. While this lives nobody else is given the file.
#[derive(Debug)]
pub struct Spare {
    /// Its name.
    pub path: PathBuf,
    /// Bytes of its former life.
    pub bytes: u64,
    from: Arc<Spares>,
}

impl Spares {
    /// Takes charge of a queue's spare files; `None` when somebody else has.
    pub fn of(queue: &Path) -> io::Result<Option<Self>> {
        let directory = directory(queue);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let Some(lock) = os::file::try_lock(File::open(&directory)?)? else {
            return Ok(None);
        };
        for entry in std::fs::read_dir(&directory)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Some(Self {
            directory,
            known: Mutex::new(Known {
                names: Vec::new(),
                taken: HashSet::new(),
                next_look: Instant::now(),
            }),
            _lock: lock,
        }))
    }

    /// A file nobody else will be given.
    pub fn take(self: &Arc<Self>) -> Option<(File, Spare)> {
        loop {
            let mut known = self.known();
            if known.names.is_empty() {
                self.look(&mut known);
            }
            let name = known.names.pop()?;
            let path = self.directory.join(&name);
            known.taken.insert(name);
            drop(known);
            let open = || {
                let file = OpenOptions::new().write(true).open(&path)?;
                Ok::<_, io::Error>((file.metadata()?, file))
            };
            let Ok((metadata, file)) = open() else {
                self.give_back(&path);
                continue;
            };
            let is_free = metadata.nlink() == 1 && metadata.is_file();
            if is_free && os::file::is_open_here_only(&file) {
                let spare = Spare {
                    bytes: metadata.len(),
                    path,
                    from: Arc::clone(self),
                };
                return Some((file, spare));
            }
            let _ = std::fs::remove_file(&path);
            self.give_back(&path);
        }
    }

    fn look(&self, known: &mut Known) {
        let now = Instant::now();
        if now < known.next_look {
            return;
        }
        known.next_look = now + EMPTY_PAUSE;
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let Known {
            names: free, taken, ..
        } = known;
        free.extend(names.filter(|name| !taken.contains(name)));
    }

    fn give_back(&self, path: &Path) {
        if let Some(name) = path.file_name() {
            self.known().taken.remove(name);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.from.give_back(&self.path);
    }
}

/// Where qmail-clean puts finished files of one queue.
#[derive(Debug)]
pub struct Finished {
    directory: PathBuf,
    count: usize,
    moves: usize,
}

impl Finished {
    /// For a queue.
    pub fn of(queue: &Path) -> Self {
        Self {
            directory: directory(queue),
            count: 0,
            moves: 0,
        }
    }

    /// Takes a file out of the queue: it becomes a spare one or is removed.
    pub fn take(&mut self, path: &Path) -> io::Result<()> {
        let metadata = std::fs::symlink_metadata(path)?;
        let is_useful =
            metadata.is_file() && metadata.nlink() == 1 && metadata.len() <= SPARE_BYTES_MAX;
        if is_useful && self.has_room() {
            // The number cannot be the name of another file that is there:
            // it is this file's alone as long as it exists.
            let spare = self.directory.join(metadata.ino().to_string());
            if std::fs::rename(path, spare).is_ok() {
                self.count += 1;
                return Ok(());
            }
        }
        std::fs::remove_file(path)
    }

    fn has_room(&mut self) -> bool {
        if self.moves == 0 {
            // Without the directory nobody wants them.
            self.count = std::fs::read_dir(&self.directory).map_or(SPARES_MAX, Iterator::count);
        }
        self.moves = (self.moves + 1) % MOVES_PER_COUNT;
        self.count < SPARES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("mess"), "a message").unwrap();
        directory
    }

    #[test]
    fn a_finished_file_is_written_again_by_one_only() {
        let queue = queue();
        let spares = Arc::new(Spares::of(queue.path()).unwrap().unwrap());
        assert!(Spares::of(queue.path()).unwrap().is_none(), "one at a time");
        let mess = queue.path().join("mess");
        let number = std::fs::metadata(&mess).unwrap().ino();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists());
        let (file, spare) = spares.take().unwrap();
        assert_eq!(file.metadata().unwrap().ino(), number);
        assert_eq!(spare.bytes, 9);
        std::thread::sleep(EMPTY_PAUSE);
        assert!(spares.take().is_none(), "it is still being written");
        drop((file, spare));
        std::thread::sleep(EMPTY_PAUSE);
        assert!(spares.take().is_some());
    }

    #[test]
    fn what_may_still_be_a_message_is_not_used() {
        let queue = queue();
        let mess = queue.path().join("mess");
        std::fs::create_dir(queue.path().join("spare")).unwrap();
        std::fs::hard_link(&mess, queue.path().join("spare/1")).unwrap();
        let spares = Arc::new(Spares::of(queue.path()).unwrap().unwrap());
        assert!(!queue.path().join("spare/1").exists() && mess.exists());
        std::fs::hard_link(&mess, queue.path().join("spare/2")).unwrap();
        assert!(spares.take().is_none());
        // A second name keeps it from becoming a spare file, too.
        std::fs::hard_link(&mess, queue.path().join("other")).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists() && spares.take().is_none());
    }

    #[test]
    fn what_somebody_still_reads_is_not_written() {
        let queue = queue();
        let spares = Arc::new(Spares::of(queue.path()).unwrap().unwrap());
        let mess = queue.path().join("mess");
        let reader = File::open(&mess).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(spares.take().is_none());
        assert_eq!(std::io::read_to_string(reader).unwrap(), "a message");
        assert_eq!(
            std::fs::read_dir(queue.path().join("spare"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn large_files_and_too_many_are_removed() {
        let queue = queue();
        let _spares = Spares::of(queue.path()).unwrap();
        let mut finished = Finished::of(queue.path());
        let large = queue.path().join("large");
        std::fs::write(&large, vec![0; SPARE_BYTES_MAX as usize + 1]).unwrap();
        finished.take(&large).unwrap();
        for number in 0..SPARES_MAX + 10 {
            let path = queue.path().join(format!("m{number}"));
            std::fs::write(&path, "x").unwrap();
            finished.take(&path).unwrap();
            assert!(!path.exists());
        }
        let kept = std::fs::read_dir(queue.path().join("spare")).unwrap();
        assert_eq!(kept.count(), SPARES_MAX);
    }

    #[test]
    fn without_anybody_to_use_them_files_are_removed() {
        let queue = queue();
        let mess = queue.path().join("mess");
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists() && !queue.path().join("spare").exists());
        assert!(Finished::of(queue.path()).take(&mess).is_err());
    }
}
