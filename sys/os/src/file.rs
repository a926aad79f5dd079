//! Files: durable replacement, locks, FIFOs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything written to a file system durable, given any file of it:
/// cheaper than syncing file after file when there are many. Fails when
/// anything could not be written since `file` was opened.
pub fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(nix::unistd::syncfs(file)?)
}

/// Replaces a file so that a reader, or a power cut, sees the old content or
/// the new one and nothing else: write beside it, sync, rename, sync the
/// directory.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = parent.join(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    // The mask may have taken bits away that readers need.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_directory(parent)
}

/// Starts writing a file's content to the disk without waiting for it. Only a
/// hint: it makes a later sync cheaper and promises nothing.
pub fn start_writeback(file: &File) {
    let _ = sync_range(file, nix::libc::SYNC_FILE_RANGE_WRITE);
}

/// Fails when the kernel could not write some of a file's content since the
/// file was opened. After [`crate::group_sync::GroupSync::sync`] this makes
/// sure of the file itself, and costs no further sync.
pub fn check_written(file: &File) -> io::Result<()> {
    sync_range(file, nix::libc::SYNC_FILE_RANGE_WAIT_BEFORE)
}

fn sync_range(file: &File, flags: nix::libc::c_uint) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open for the whole call; no memory is shared.
    match unsafe { nix::libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Renames a file to a name that must not exist.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // The file system cannot tell: a link never replaces anything.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Lets two names of one file system change places, at one moment.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let at = nix::fcntl::AT_FDCWD;
    let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
    Ok(nix::fcntl::renameat2(at, one, at, other, flags)?)
}

/// Says whether nobody else has a file of ours open, whatever for. The kernel
/// gives a lease for writing only then; where it gives none at all the answer
/// is no. Whoever opens the file in this moment waits until the lease is
/// given back, and then the answer is no, too.
pub fn is_open_here_only(file: &File) -> bool {
    use nix::libc::{F_GETLEASE, F_SETLEASE, F_UNLCK, F_WRLCK, c_int};
    use std::os::fd::AsRawFd;
    ignore_lease_breaks();
    let number = file.as_raw_fd();
    let lease = |kind: c_int| {
        // SAFETY: the descriptor is open for the whole call; no memory is
        // shared.
        unsafe { nix::libc::fcntl(number, F_SETLEASE, kind) == 0 }
    };
    if !lease(F_WRLCK) {
        return false;
    }
    // What the lease is to become, once somebody waits for it.
    // SAFETY: as above.
    let is_kept = unsafe { nix::libc::fcntl(number, F_GETLEASE) } == F_WRLCK;
    lease(F_UNLCK) && is_kept
}

/// Whoever wants a file that is leased causes a SIGIO, which would end this
/// process.
fn ignore_lease_breaks() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: ignoring a signal runs no handler, and nothing here waits
        // for this one.
        let _ = unsafe { signal(Signal::SIGIO, SigHandler::SigIgn) };
    });
}

/// Sets when a file was last changed, Unix time.
pub fn set_mtime(file: &File, time: i64) -> io::Result<()> {
    let time = TimeSpec::new(time, 0);
    Ok(nix::sys::stat::futimens(
        file,
        &TimeSpec::UTIME_OMIT,
        &time,
    )?)
}

/// Bytes a user other than root can still write to the file system of `path`.
pub fn bytes_available(path: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(found
        .blocks_available()
        .saturating_mul(found.fragment_size()))
}

/// A lock that lasts until it is dropped.
pub type Lock = Flock<File>;

/// Takes an exclusive lock without waiting; `None` when somebody has it.
pub fn try_lock(file: File) -> io::Result<Option<Lock>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Takes an exclusive lock, waiting for it.
pub fn lock(file: File) -> io::Result<Lock> {
    loop {
        return match Flock::lock(file.try_clone()?, FlockArg::LockExclusive) {
            Ok(lock) => Ok(lock),
            Err((_, nix::errno::Errno::EINTR)) => continue,
            Err((_, error)) => Err(error.into()),
        };
    }
}

/// Creates a FIFO with exactly this mode, unless one is there already.
pub fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    match nix::unistd::mkfifo(path, Mode::from_bits_truncate(mode)) {
        Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
        Err(nix::errno::Errno::EEXIST) if std::fs::metadata(path)?.file_type().is_fifo() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a FIFO for reading without waiting for a writer.
pub fn open_fifo_read(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
}

/// Opens a FIFO for writing without waiting; fails when nobody reads it.
pub fn open_fifo_write(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
}

/// What is left on a file system for ordinary users.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FreeSpace {
    /// Bytes.
    pub bytes: u64,
    /// Files that can still be made.
    pub inodes: u64,
    /// Nothing can be written, whatever is left.
    pub read_only: bool,
}

/// Asks how much room the file system of a path has.
pub fn free_space(path: &Path) -> io::Result<FreeSpace> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    let bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
    // A file system that makes inodes as it goes says 0 of 0.
    let inodes = if stat.files() == 0 {
        u64::MAX
    } else {
        stat.files_available()
    };
    let read_only = stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY);
    Ok(FreeSpace {
        bytes,
        inodes,
        read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Questions about a file that somebody else opens all the time.
    const QUESTIONS: usize = 20_000;
    /// A child of another test, between its fork and its exec, holds what was
    /// open here when it began.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

    fn is_soon_open_here_only(file: &File) -> bool {
        let asked = std::time::Instant::now();
        while !is_open_here_only(file) {
            if asked.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        true
    }

    #[test]
    fn a_file_is_open_here_only_while_nobody_else_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        assert!(is_soon_open_here_only(&file));
        let reader = File::open(&path).unwrap();
        assert!(!is_open_here_only(&file));
        drop(reader);
        assert!(is_soon_open_here_only(&file));
    }

    #[test]
    fn being_asked_about_while_it_is_opened_ends_nobody() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        let is_over = AtomicBool::new(false);
        let answers = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(File::open(&path).unwrap());
                }
            });
            let answers = (0..QUESTIONS).filter(|_| is_open_here_only(&file)).count();
            is_over.store(true, Ordering::Relaxed);
            answers
        });
        assert!(answers <= QUESTIONS);
        assert!(is_soon_open_here_only(&file));
    }
}
