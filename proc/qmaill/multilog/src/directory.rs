//! One log directory: `current`, and the files that were `current` before.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use os::file::{Lock, try_lock};
use run::Exit;

use crate::{recover, rotate};

/// A newline this near to the end of a file ends the file.
const TAIL_BYTES: u64 = 2000;
/// How long to wait after trouble.
const PAUSE: Duration = Duration::from_secs(5);
/// Bytes collected before they are written without being asked to.
const BUFFER_BYTES: usize = 64 * 1024;
/// Mode of a file that is being written.
const OPEN_MODE: u32 = 0o644;
/// Mode of a file that was closed whole.
pub const CLOSED_MODE: u32 = 0o744;

/// How large a directory may grow, and what happens to its files.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of a file.
    pub bytes_max: Option<u64>,
    /// Number of files, `current` included.
    pub files_max: usize,
    /// Rotate at multiples of these seconds.
    pub seconds: Option<u64>,
    /// What finished files go through.
    pub processor: Option<OsString>,
}

/// An open, locked log directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    limits: Limits,
    current: File,
    /// Bytes in `current`, those in the buffer included.
    bytes: u64,
    buffer: Vec<u8>,
    /// Unix second of the next rotation by time.
    rotate_at: Option<i64>,
    _lock: Lock,
}

impl Directory {
    /// Creates and locks it, and finishes what was interrupted.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, Exit> {
        let fatal = |what: &str| {
            let text = format!("unable to {what} {}", path.display());
            move |error: io::Error| Exit::new(run::TEMPORARY, format!("{text}: {error}"))
        };
        match DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fatal("create directory")(error));
            }
            _ => {}
        }
        // Later messages name the directory wherever we are.
        let path = std::path::absolute(path).map_err(fatal("find"))?;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let lock = options.open(path.join("lock")).and_then(try_lock);
        let lock = lock
            .map_err(fatal("lock directory"))?
            .ok_or_else(|| fatal("lock directory")(io::Error::other("another multilog has it")))?;
        recover::recover(&path, &limits).map_err(fatal("recover directory"))?;
        let current = open_current(&path).map_err(fatal("open current in"))?;
        let bytes = current.metadata().map_err(fatal("stat current in"))?.len();
        let rotate_at = next_rotation(&limits);
        let buffer = Vec::new();
        Ok(Self {
            path,
            limits,
            current,
            bytes,
            buffer,
            rotate_at,
            _lock: lock,
        })
    }

    /// Takes bytes of a line.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self
                .limits
                .bytes_max
                .map_or(u64::MAX, |max| max.saturating_sub(self.bytes));
            let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.buffer.extend_from_slice(&bytes[..length]);
            self.bytes += length as u64;
            bytes = &bytes[length..];
            if self.limits.bytes_max.is_some_and(|max| max <= self.bytes) {
                self.rotate();
            } else if BUFFER_BYTES <= self.buffer.len() {
                self.flush();
            }
        }
    }

    /// A line has ended: a good place to end the file.
    pub fn end_line(&mut self) {
        let full = |max: u64| max.saturating_sub(TAIL_BYTES) <= self.bytes;
        if 0 < self.bytes && self.limits.bytes_max.is_some_and(full) {
            self.rotate();
        }
    }

    /// Writes what was collected.
    pub fn flush(&mut self) {
        while !self.buffer.is_empty() {
            match self.current.write(&self.buffer) {
                Ok(length) => {
                    self.buffer.drain(..length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => pause("write to", &self.path.join("current"), &error),
            }
        }
    }

    /// Rotates, unless there is nothing in the file.
    pub fn rotate_unless_empty(&mut self) {
        if 0 < self.bytes {
            self.rotate();
        }
    }

    /// Rotates when the time has come.
    pub fn rotate_if_due(&mut self) {
        if self
            .rotate_at
            .is_some_and(|at| at <= os::clock::unix_seconds())
        {
            self.rotate_at = next_rotation(&self.limits);
            self.rotate_unless_empty();
        }
    }

    /// Marks the file as whole; the next multilog goes on with it.
    pub fn close(&mut self) {
        self.flush();
        self.seal();
    }

    /// How long no rotation is due.
    pub fn wait_max(&self) -> Option<Duration> {
        let seconds = self
            .rotate_at?
            .saturating_sub(os::clock::unix_seconds())
            .max(0);
        Some(Duration::from_secs(seconds.unsigned_abs()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Do its files go through a program?
    pub fn has_processor(&self) -> bool {
        self.limits.processor.is_some()
    }

    /// Ends `current` and starts a new one. Order: sync, mark as whole, rename
    /// to `previous`, open the new one, give `previous` its stamped name: a
    /// crash between any two is recovered from the modes and names.
    fn rotate(&mut self) {
        self.flush();
        self.seal();
        let (current, previous) = (self.path.join("current"), self.path.join("previous"));
        insist("rename", &current, || std::fs::rename(&current, &previous));
        self.current = insist("create", &current, || open_current(&self.path));
        self.bytes = 0;
        match &self.limits.processor {
            Some(command) => rotate::process(&self.path, command),
            None => insist("finish", &previous, || {
                rotate::finish(&self.path, "previous", "s")
            }),
        }
        insist("prune", &self.path, || {
            rotate::prune(&self.path, self.limits.files_max)
        });
    }

    fn seal(&mut self) {
        let path = self.path.join("current");
        if std::env::var_os(settings::supervision::NOFSYNC.variable).is_none() {
            insist("sync", &path, || self.current.sync_all());
        }
        let mode = Permissions::from_mode(CLOSED_MODE);
        insist("chmod", &path, || {
            self.current.set_permissions(mode.clone())
        });
    }
}

fn open_current(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .append(true)
        .create(true)
        .mode(OPEN_MODE)
        .open(path.join("current"))?;
    file.set_permissions(Permissions::from_mode(OPEN_MODE))?;
    Ok(file)
}

/// The next multiple of the seconds.
fn next_rotation(limits: &Limits) -> Option<i64> {
    let seconds = i64::try_from(limits.seconds?).ok()?;
    Some((os::clock::unix_seconds() / seconds + 1).saturating_mul(seconds))
}

/// Tries until it works: a log may wait, but not lose.
pub fn insist<T>(what: &str, path: &Path, mut work: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match work() {
            Ok(value) => return value,
            Err(error) => pause(what, path, &error),
        }
    }
}

/// Says what is wrong and waits.
pub fn pause(what: &str, path: &Path, error: &io::Error) {
    let text = format!(
        "multilog: warning: unable to {what} {}, pausing: {error}\n",
        path.display()
    );
    let _ = io::stderr().write_all(text.as_bytes());
    std::thread::sleep(PAUSE);
}
