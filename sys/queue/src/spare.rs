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
//! message. For the same reason a file is used only when its move is durable
//! ([`SparePool`]), which costs nothing where syncs are shared; a process
//! that is alone and shares none creates files.
//! A file with a second name is never used, nor one that somebody still has
//! open: a delivery that was given up, but goes on, must not read somebody
//! else's mail. Once taken, a file becomes a message or is removed: one that
//! a write failed on, or whose number has another message's name, does not
//! fail the next message too.

mod finished;
mod pool;

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use os::file::Lock;
use os::group_sync::GroupSync;

pub use finished::Finished;
pub use pool::SparePool;

use crate::files::FILE_MODE;

/// Pause between two looks into the directory.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// With this many files at hand nobody looks for more.
const ENOUGH: usize = 64;

fn directory(queue: &Path) -> PathBuf {
    queue.join("spare")
}

/// An ordinary file of ours, with one name, that readers can read.
fn may_be_written_again(metadata: &Metadata) -> bool {
    metadata.is_file()
        && metadata.nlink() == 1
        && metadata.mode() & 0o7777 == FILE_MODE
        && metadata.uid() == os::account::effective_uid()
}

/// The files of one queue that may be written again.
#[derive(Debug)]
pub struct Spares {
    directory: PathBuf,
    known: Mutex<Known>,
    syncs: Arc<GroupSync>,
    _lock: Lock,
}

#[derive(Debug)]
struct Known {
    pool: SparePool<OsString>,
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
    is_renamed: AtomicBool,
    from: Arc<Spares>,
}

impl Spares {
    /// Takes charge of a queue's spare files; `None` when somebody else has.
    /// The queue is on the file system of `syncs`.
    pub fn of(queue: &Path, syncs: Arc<GroupSync>) -> io::Result<Option<Self>> {
        let directory = directory(queue);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let file = File::open(&directory)?;
        if file.metadata()?.dev() != syncs.device() {
            return Ok(None);
        }
        let Some(lock) = os::file::try_lock(file)? else {
            return Ok(None);
        };
        for entry in std::fs::read_dir(&directory)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Some(Self {
            directory,
            known: Mutex::new(Known {
                pool: SparePool::default(),
                next_look: Instant::now(),
            }),
            syncs,
            _lock: lock,
        }))
    }

    /// A file nobody else will be given.
    pub fn take(self: &Arc<Self>) -> Option<(File, Spare)> {
        loop {
            let mut known = self.known();
            self.look(&mut known);
            let name = known.pool.take(self.syncs.last_of_everything())?;
            drop(known);
            let path = self.directory.join(&name);
            let spare = |bytes| Spare {
                path: path.clone(),
                bytes,
                is_renamed: AtomicBool::new(false),
                from: Arc::clone(self),
            };
            let open = || {
                let file = OpenOptions::new().write(true).open(&path)?;
                Ok::<_, io::Error>((file.metadata()?, file))
            };
            let Ok((metadata, file)) = open() else {
                drop(spare(0));
                continue;
            };
            let spare = spare(metadata.len());
            if may_be_written_again(&metadata) && os::file::is_open_here_only(&file) {
                return Some((file, spare));
            }
        }
    }

    fn look(&self, known: &mut Known) {
        let now = Instant::now();
        let is_enough = ENOUGH <= known.pool.free() || known.pool.waits();
        if is_enough || now < known.next_look {
            return;
        }
        known.next_look = now + LOOK_PAUSE;
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        // Asked after the look: a sync that began before may have missed
        // the moves.
        known.pool.see(names, self.syncs.next());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    /// It has a name in the queue now, and none in `spare`.
    pub fn renamed(&self) {
        self.is_renamed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if !self.is_renamed.load(Ordering::Relaxed) {
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(name) = self.path.file_name() {
            self.from.known().pool.give_back(&name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn queue() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        a_message(directory.path());
        directory
    }

    fn a_message(queue: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let mess = queue.join("mess");
        std::fs::write(&mess, "a message").unwrap();
        let mode = std::fs::Permissions::from_mode(FILE_MODE);
        std::fs::set_permissions(&mess, mode).unwrap();
    }

    pub(super) fn no_spares(queue: &Path) -> bool {
        let mut entries = std::fs::read_dir(queue.join("spare")).unwrap();
        entries.next().is_none()
    }

    fn spares(queue: &Path) -> Arc<Spares> {
        let group = Arc::new(GroupSync::on(queue).unwrap());
        Arc::new(Spares::of(queue, group).unwrap().unwrap())
    }

    /// Looks, makes durable, and takes.
    fn take(spares: &Arc<Spares>) -> Option<(File, Spare)> {
        spares.known().next_look = Instant::now();
        spares.look(&mut spares.known());
        spares.syncs.sync_everything().unwrap();
        spares.take()
    }

    #[test]
    fn a_finished_file_is_written_again_by_one_only() {
        let queue = queue();
        let spares = spares(queue.path());
        let group = Arc::clone(&spares.syncs);
        assert!(
            Spares::of(queue.path(), group).unwrap().is_none(),
            "one at a time"
        );
        let mess = queue.path().join("mess");
        let number = std::fs::metadata(&mess).unwrap().ino();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists());
        let (file, spare) = take(&spares).unwrap();
        assert_eq!(file.metadata().unwrap().ino(), number);
        assert_eq!(spare.bytes, 9);
        assert!(take(&spares).is_none(), "it is still being written");
        std::fs::rename(&spare.path, &mess).unwrap();
        spare.renamed();
        drop((file, spare));
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(take(&spares).is_some());
    }

    #[test]
    fn a_file_that_may_still_be_a_message_after_a_power_cut_is_not_used() {
        let queue = queue();
        let spares = spares(queue.path());
        let mess = queue.path().join("mess");
        spares.syncs.sync_everything().unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(spares.take().is_none(), "that sync was before the move");
        assert!(!no_spares(queue.path()));
        spares.syncs.sync_everything().unwrap();
        assert!(spares.take().is_some());
    }

    #[test]
    fn what_was_taken_and_not_used_is_removed() {
        let queue = queue();
        let spares = spares(queue.path());
        let mess = queue.path().join("mess");
        Finished::of(queue.path()).take(&mess).unwrap();
        drop(take(&spares).unwrap());
        assert!(no_spares(queue.path()));
    }

    #[test]
    fn what_may_still_be_a_message_is_not_used() {
        let queue = queue();
        let mess = queue.path().join("mess");
        std::fs::create_dir(queue.path().join("spare")).unwrap();
        std::fs::hard_link(&mess, queue.path().join("spare/1")).unwrap();
        let spares = spares(queue.path());
        assert!(!queue.path().join("spare/1").exists() && mess.exists());
        std::fs::hard_link(&mess, queue.path().join("spare/2")).unwrap();
        assert!(take(&spares).is_none());
        // A second name keeps it from becoming a spare file, too.
        std::fs::hard_link(&mess, queue.path().join("other")).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists() && take(&spares).is_none());
    }

    #[test]
    fn what_readers_could_not_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let queue = queue();
        let spares = spares(queue.path());
        Finished::of(queue.path())
            .take(&queue.path().join("mess"))
            .unwrap();
        let entry = std::fs::read_dir(queue.path().join("spare"))
            .unwrap()
            .next();
        let path = entry.unwrap().unwrap().path();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(take(&spares).is_none());
        std::os::unix::fs::symlink("/dev/null", path).unwrap();
        assert!(take(&spares).is_none() && no_spares(queue.path()));
    }

    #[test]
    fn what_somebody_still_reads_is_not_written() {
        let queue = queue();
        let spares = spares(queue.path());
        let mess = queue.path().join("mess");
        let reader = File::open(&mess).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(take(&spares).is_none());
        assert_eq!(std::io::read_to_string(reader).unwrap(), "a message");
        assert!(no_spares(queue.path()));
    }
}
