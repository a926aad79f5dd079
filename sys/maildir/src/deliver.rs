//! Putting one message into a maildir (queue-and-delivery.md §6.7).
//!
//! The order is what makes it durable, and nothing of it may be left out:
//!
//! 1. create `tmp/NAME`, which must not exist, and write the message;
//! 2. sync the file: content and inode are on disk;
//! 3. link it to `new/NAME`: readers see all of it or nothing;
//! 4. sync `new`: the name is on disk, and only now the delivery counts;
//! 5. unlink `tmp/NAME`.
//!
//! A crash before 4 leaves the message to the queue, which delivers again;
//! one after 4 leaves a second name in `tmp`, which readers never look at and
//! which is removed after 36 hours. The maildir itself is never created here.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use os::group_sync::GroupSync;

/// Bytes of a message that are read at first: most have no more.
const FIRST_CHUNK_BYTES: usize = 16 * 1024;
/// Bytes copied at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Names tried in `tmp`; each contains the microsecond it was made in.
const NAMES_MAX: u32 = 1000;

/// Why a message is not in the maildir. All but [`Error::Full`] are
/// temporary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The maildir, its `tmp` or its `new` cannot be entered.
    #[error("unable to enter maildir {path}")]
    Enter {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The message cannot be read.
    #[error("unable to read message")]
    Read(#[source] io::Error),
    /// The disk quota of the mailbox's owner is used up.
    #[error("disk quota exceeded")]
    Full(#[source] io::Error),
    /// The message cannot be written or made durable.
    #[error("unable to write to maildir {path}")]
    Write {
        /// The maildir.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A message that is in the maildir, on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// Its name in `new`.
    pub name: String,
    /// Its size, as the name says after `,S=`.
    pub bytes: u64,
}

/// Delivers `prefix` followed by the whole of `message` (from its first byte,
/// whatever its offset; the offset does not move). `host` is the name of this
/// machine. Programs that deliver in many threads share their syncs in
/// `group`.
pub fn deliver(
    maildir: &Path,
    host: &str,
    prefix: &[u8],
    message: &File,
    group: Option<&GroupSync>,
) -> Result<Delivered, Error> {
    deliver_in_steps(maildir, host, prefix, message, group, &|_| Ok(()))
}

/// What can fail, or be cut off by a crash, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Create,
    Write,
    SyncFile,
    Link,
    SyncDirectory,
    Unlink,
}

/// Delivers, asking `before` ahead of each step, so that tests can fail it or
/// stop there.
fn deliver_in_steps(
    maildir: &Path,
    host: &str,
    prefix: &[u8],
    message: &File,
    group: Option<&GroupSync>,
    before: &dyn Fn(Step) -> io::Result<()>,
) -> Result<Delivered, Error> {
    let enter = |name: &str| {
        let path = maildir.join(name);
        open_directory(&path).map_err(|source| Error::Enter { path, source })
    };
    let (tmp, new) = (enter("tmp")?, enter("new")?);
    let write = |source: io::Error| match source.raw_os_error() {
        Some(nix::libc::EDQUOT) => Error::Full(source),
        _ => Error::Write {
            path: maildir.to_owned(),
            source,
        },
    };
    before(Step::Create).map_err(write)?;
    let (mut file, temporary) = create(&tmp, host).map_err(write)?;
    let mut place = || {
        before(Step::Write).map_err(write)?;
        let bytes = copy(&mut file, prefix, message).map_err(|error| match error {
            CopyError::Read(source) => Error::Read(source),
            CopyError::Write(source) => write(source),
        })?;
        before(Step::SyncFile)
            .and_then(|()| sync_file(&file, group))
            .map_err(write)?;
        let metadata = file.metadata().map_err(write)?;
        let name = final_name(host, &metadata, bytes);
        before(Step::Link).map_err(write)?;
        let flags = AtFlags::empty();
        // EEXIST is another message with our name: a failure, not a success.
        linkat(&tmp, &temporary[..], &new, &name[..], flags).map_err(|e| write(e.into()))?;
        let synced = before(Step::SyncDirectory).and_then(|()| sync_names(&new, &file, group));
        if let Err(error) = synced {
            // Nobody knows what is on disk now: take the name back and let
            // the queue deliver again.
            let _ = unlinkat(&new, &name[..], UnlinkatFlags::NoRemoveDir);
            return Err(write(error));
        }
        Ok(Delivered { name, bytes })
    };
    let result = place();
    // The message is where it belongs, or will be delivered again: a file
    // left in `tmp` is no reason to say otherwise.
    let _ = before(Step::Unlink);
    let _ = unlinkat(&tmp, &temporary[..], UnlinkatFlags::NoRemoveDir);
    result
}

/// Step 2, alone or with others.
fn sync_file(file: &File, group: Option<&GroupSync>) -> io::Result<()> {
    match group {
        Some(group) if group.covers(file)? => group.sync(&[file], || file.sync_all()),
        _ => file.sync_all(),
    }
}

/// Step 4, alone or with others. The directory is on the file system of the
/// file linked into it.
fn sync_names(directory: &OwnedFd, file: &File, group: Option<&GroupSync>) -> io::Result<()> {
    let alone = || nix::unistd::fsync(directory).map_err(io::Error::from);
    match group {
        Some(group) if group.covers(file)? => group.sync(&[], alone),
        _ => alone(),
    }
}

/// The host as names of messages have it: no `/` and no `:`.
pub fn host_part(host: &str) -> String {
    host.replace('/', "057").replace(':', "072")
}

/// A symbolic link as `tmp` or `new` could lead anywhere; it is refused.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
        .open(path)?;
    Ok(file.into())
}

fn create(tmp: &OwnedFd, host: &str) -> io::Result<(File, String)> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut tries = 0;
    loop {
        let (seconds, nanoseconds) = os::clock::now();
        let name = format!(
            "{seconds}.M{}P{}.{}",
            nanoseconds / 1000,
            std::process::id(),
            host_part(host)
        );
        match openat(tmp, &name[..], flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(fd) => return Ok((fd.into(), name)),
            Err(Errno::EEXIST) if tries < NAMES_MAX => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_micros(u64::from(tries)));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn final_name(host: &str, metadata: &std::fs::Metadata, bytes: u64) -> String {
    let (seconds, nanoseconds) = os::clock::now();
    format!(
        "{seconds}.I{:x}V{:x}M{}P{}.{},S={bytes}",
        metadata.ino(),
        metadata.dev(),
        nanoseconds / 1000,
        std::process::id(),
        host_part(host)
    )
}

/// Which side of a copy failed.
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Writes the prefix and the message; how many bytes that were.
fn copy(to: &mut impl Write, prefix: &[u8], message: &File) -> Result<u64, CopyError> {
    let mut buffer = prefix.to_vec();
    let (mut offset, mut written) = (0, 0);
    let mut chunk = FIRST_CHUNK_BYTES;
    loop {
        // The prefix shares its first write with the start of the message,
        // so that a small message is one write.
        let kept = buffer.len();
        buffer.resize(kept + chunk, 0);
        let got = match message.read_at(&mut buffer[kept..], offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                buffer.truncate(kept);
                continue;
            }
            result => result.map_err(CopyError::Read)?,
        };
        buffer.truncate(kept + got);
        to.write_all(&buffer).map_err(CopyError::Write)?;
        written += buffer.len() as u64;
        if got == 0 {
            return Ok(written);
        }
        if got < chunk {
            return Ok(written);
        }
        offset += got as u64;
        chunk = CHUNK_BYTES;
        buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tmp", "new", "cur"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        directory
    }

    fn message(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_size_in_the_name_is_the_size_of_the_file() {
        let directory = maildir();
        let done = deliver(
            directory.path(),
            "h:o/st",
            b"A: b\n",
            &message(b"C: d\n\nx"),
            None,
        )
        .unwrap();
        assert_eq!(names(&directory.path().join("new")), [&done.name[..]]);
        assert!(names(&directory.path().join("tmp")).is_empty());
        let content = std::fs::read(directory.path().join("new").join(&done.name)).unwrap();
        assert_eq!(content, b"A: b\nC: d\n\nx");
        assert!(
            done.name
                .ends_with(&format!(".h072o057st,S={}", content.len()))
        );
        let after_seconds = done.name.split_once('.').unwrap().1;
        assert!(after_seconds.starts_with('I') && after_seconds.contains('V'));
    }

    #[test]
    fn a_large_message_arrives_whole() {
        let directory = maildir();
        let text = vec![b'x'; 3 * CHUNK_BYTES + 17];
        let done = deliver(directory.path(), "h", b"P: q\n", &message(&text), None).unwrap();
        assert_eq!(done.bytes, text.len() as u64 + 5);
    }

    #[test]
    fn many_at_once_all_arrive() {
        let directory = maildir();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        deliver(directory.path(), "h", b"", &message(b"x\n"), None).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(&directory.path().join("new")).len(), 200);
    }

    #[test]
    fn a_missing_maildir_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Maildir");
        let error = deliver(&path, "h", b"", &message(b"x"), None).unwrap_err();
        assert!(matches!(error, Error::Enter { .. }));
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_place_of_new_leads_nowhere() {
        let directory = maildir();
        let outside = tempfile::tempdir().unwrap();
        std::fs::remove_dir(directory.path().join("new")).unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("new")).unwrap();
        assert!(deliver(directory.path(), "h", b"", &message(b"x"), None).is_err());
        assert!(names(outside.path()).is_empty());
        assert!(names(&directory.path().join("tmp")).is_empty());
    }

    #[test]
    fn a_directory_that_keeps_becoming_a_link_leads_nowhere() {
        let directory = maildir();
        let outside = tempfile::tempdir().unwrap();
        for name in ["new", "tmp"] {
            std::os::unix::fs::symlink(
                outside.path(),
                directory.path().join(format!("{name}.link")),
            )
            .unwrap();
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        let delivered = std::thread::scope(|scope| {
            scope.spawn(|| {
                let at = |name: &str| directory.path().join(name);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in ["new", "tmp"] {
                        let (link, kept) =
                            (at(&format!("{name}.link")), at(&format!("{name}.kept")));
                        std::fs::rename(at(name), &kept).unwrap();
                        std::fs::rename(&link, at(name)).unwrap();
                        std::fs::rename(at(name), &link).unwrap();
                        std::fs::rename(&kept, at(name)).unwrap();
                    }
                }
            });
            let deliver = || deliver(directory.path(), "h", b"", &message(b"x"), None).is_ok();
            let delivered = (0..300).filter(|_| deliver()).count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            delivered
        });
        assert!(names(outside.path()).is_empty());
        // What counted as delivered is where it belongs, and nothing else is.
        assert_eq!(names(&directory.path().join("new")).len(), delivered);
        assert!(names(&directory.path().join("tmp")).is_empty());
    }

    #[test]
    fn an_unreadable_message_leaves_nothing_behind() {
        let directory = maildir();
        let unreadable = File::open(directory.path()).unwrap();
        let error = deliver(directory.path(), "h", b"", &unreadable, None).unwrap_err();
        assert!(matches!(error, Error::Read(_)));
        assert!(names(&directory.path().join("tmp")).is_empty());
        assert!(names(&directory.path().join("new")).is_empty());
    }

    const STEPS: [Step; 6] = [
        Step::Create,
        Step::Write,
        Step::SyncFile,
        Step::Link,
        Step::SyncDirectory,
        Step::Unlink,
    ];

    #[test]
    fn the_steps_are_taken_in_their_order() {
        let directory = maildir();
        let taken = std::cell::RefCell::new(Vec::new());
        let before = |step| {
            taken.borrow_mut().push(step);
            Ok(())
        };
        deliver_in_steps(directory.path(), "h", b"", &message(b"x"), None, &before).unwrap();
        assert_eq!(*taken.borrow(), STEPS);
    }

    #[test]
    fn a_step_that_fails_leaves_no_message_and_no_rest() {
        for failing in &STEPS[..5] {
            for (number, full) in [(nix::libc::EIO, false), (nix::libc::EDQUOT, true)] {
                let directory = maildir();
                let before = |step| match step == *failing {
                    true => Err(io::Error::from_raw_os_error(number)),
                    false => Ok(()),
                };
                let result =
                    deliver_in_steps(directory.path(), "h", b"", &message(b"x"), None, &before);
                let error = result.unwrap_err();
                assert_eq!(matches!(error, Error::Full(_)), full, "{failing:?}");
                assert!(
                    names(&directory.path().join("new")).is_empty(),
                    "{failing:?}"
                );
                assert!(
                    names(&directory.path().join("tmp")).is_empty(),
                    "{failing:?}"
                );
            }
        }
    }

    #[test]
    fn a_crash_shows_the_whole_message_or_none() {
        for crash in STEPS {
            let directory = maildir();
            let path = directory.path().to_owned();
            // A panic takes nothing back, as a crash does not.
            let crashed = std::thread::spawn(move || {
                let before = |step| {
                    assert!(step != crash, "the machine stops here");
                    Ok(())
                };
                deliver_in_steps(&path, "h", b"A: b\n", &message(b"x"), None, &before)
            });
            assert!(crashed.join().is_err());
            for name in names(&directory.path().join("new")) {
                let content = std::fs::read(directory.path().join("new").join(name)).unwrap();
                assert_eq!(content, b"A: b\nx", "{crash:?}");
            }
            // The queue tries again, whatever is left.
            deliver(directory.path(), "h", b"A: b\n", &message(b"x"), None).unwrap();
            assert!(!names(&directory.path().join("new")).is_empty());
        }
    }
}
