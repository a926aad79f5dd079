//! The operations the queue's order is written in, and the real ones.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc;
use os::group_sync::GroupSync;

use crate::Layout;
use crate::spare::{Finished, Spare, Spares};

/// Mode of the text and of envelopes; readers are other users of the group.
pub(crate) const FILE_MODE: u32 = 0o644;
/// Mode of what only qmail-send and qmail-todo read.
const PRIVATE_MODE: u32 = 0o600;

/// What a file system says of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, Unix time.
    pub mtime: i64,
}

/// What the queue's programs do to a file system. Paths are absolute.
///
/// The first half is what the writer of messages needs, the second what
/// becomes of a message afterwards.
pub trait FileSystem {
    /// A file being written.
    type File: Write;
    /// A file being read.
    type Input: Read;

    /// Creates a file that is not yet part of the queue: without any name,
    /// where the file system can, else as `name`, which must not exist.
    fn create(&self, name: &Path) -> io::Result<Self::File>;

    /// The file's inode number.
    fn inode(&self, file: &Self::File) -> io::Result<u64>;

    /// Gives the file a further name, which must not exist.
    fn link(&self, file: &Self::File, name: &Path) -> io::Result<()>;

    /// Removes the name the file was created with, when it has one.
    fn drop_first_name(&self, file: &Self::File) -> io::Result<()>;

    /// Removes a name; one that does not exist is an error.
    fn unlink(&self, name: &Path) -> io::Result<()>;

    /// Removes the only name of a file that has served; the file may become
    /// that of another message.
    fn finish(&self, name: &Path) -> io::Result<()> {
        self.unlink(name)
    }

    /// Makes the content durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes files of one message and the names in a directory durable. Many
    /// writers at once may share the work; the promise is the same.
    fn sync_message(&self, files: &[&Self::File], directory: &Path) -> io::Result<()> {
        files.iter().try_for_each(|file| self.sync_file(file))?;
        self.sync_directory(directory)
    }

    /// Wakes the reader of the trigger; nobody may be there.
    fn pull_trigger(&self, fifo: &Path);

    /// Creates a file under its name, which must not exist, for its owner.
    fn create_named(&self, name: &Path) -> io::Result<Self::File>;

    /// Opens a file to write at its end, and creates it when there is none.
    fn append(&self, name: &Path) -> io::Result<Self::File>;

    /// Cuts a file off.
    fn truncate(&self, file: &Self::File, bytes: u64) -> io::Result<()>;

    /// Writes in place, into a file that exists.
    fn overwrite(&self, name: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sets when a file was last changed.
    fn set_mtime(&self, file: &Self::File, time: i64) -> io::Result<()>;

    /// Opens a file to be read.
    fn open(&self, name: &Path) -> io::Result<Self::Input>;

    /// What an open file is like.
    fn status_of(&self, input: &Self::Input) -> io::Result<Status>;

    /// What the file of this name is like.
    fn status(&self, name: &Path) -> io::Result<Status>;

    /// The numbers that are names in a directory; others are left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<u64>>;

    /// Makes everything durable, whatever it is.
    fn sync_everything(&self) -> io::Result<()>;
}

/// Removes a name that may be gone already.
pub(crate) fn remove<F: FileSystem>(files: &F, name: &Path) -> io::Result<()> {
    match files.unlink(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// When a file was last changed; `None` when there is none. An error is
/// neither.
pub(crate) fn mtime<F: FileSystem>(files: &F, name: &Path) -> io::Result<Option<i64>> {
    match files.status(name) {
        Ok(status) => Ok(Some(status.mtime)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The real thing.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Links of a file without a name go through `/proc/self/fd`.
    unnamed: bool,
    /// Shares syncs with other threads.
    group: Option<Arc<GroupSync>>,
    /// Files to be written again.
    spares: Option<Arc<Spares>>,
    /// Where files go that may be.
    finished: Option<Arc<Mutex<Finished>>>,
    /// A file of each file system that is synced as a whole; open before
    /// anything is written, so that no failed write is overlooked.
    whole: Arc<[File]>,
}

/// A file of [`Disk`].
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    first_name: Option<PathBuf>,
    former: Option<Former>,
}

/// What is left of another life of a file.
#[derive(Debug)]
struct Former {
    /// How long it is.
    bytes: Cell<u64>,
    /// Where the end is now.
    written: u64,
    /// Keeps it from being given to somebody else.
    spare: Spare,
}

impl Disk {
    /// Uses files without names where the kernel and file system have them.
    pub fn new() -> Self {
        Self {
            unnamed: Path::new("/proc/self/fd").is_dir(),
            ..Self::with_names()
        }
    }

    /// As [`Disk::new`], for programs whose threads write many messages to a
    /// queue at once: they share syncs of its file system, and write into
    /// files of finished messages. A queue that is spread over several file
    /// systems has neither.
    pub fn shared(queue: &Path) -> io::Result<Self> {
        let group = Arc::new(GroupSync::on(queue)?);
        let written = ["pid", "mess", "intd", "todo"].map(|name| queue.join(name));
        for directory in written {
            if std::fs::metadata(directory)?.dev() != group.device() {
                return Ok(Self::new());
            }
        }
        Ok(Self {
            // Without them it is only slower.
            spares: Spares::of(queue, Arc::clone(&group))
                .ok()
                .flatten()
                .map(Arc::new),
            group: Some(group),
            ..Self::new()
        })
    }

    /// As [`Disk::new`], for the program that sees files of a queue off: what
    /// it finishes may be written again.
    pub fn giving_back(queue: &Path) -> Self {
        Self {
            finished: Some(Arc::new(Mutex::new(Finished::of(queue)))),
            ..Self::new()
        }
    }

    /// Gives every file a name from the start.
    pub fn with_names() -> Self {
        Self {
            unnamed: false,
            group: None,
            spares: None,
            finished: None,
            whole: Arc::new([]),
        }
    }

    /// As [`Disk::new`], for a program that writes many files of `info`,
    /// `local` and `remote` and then syncs everything.
    pub fn synced_as_a_whole(layout: &Layout) -> io::Result<Self> {
        let (mut devices, mut whole) = (Vec::new(), Vec::new());
        for directory in ["info", "local", "remote"] {
            let file = File::open(layout.root().join(directory))?;
            let device = file.metadata()?.dev();
            if !devices.contains(&device) {
                devices.push(device);
                whole.push(file);
            }
        }
        Ok(Self {
            whole: whole.into(),
            ..Self::new()
        })
    }

    fn create_unnamed(name: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .mode(FILE_MODE)
            .custom_flags(libc::O_TMPFILE)
            .open(name.parent().unwrap_or(Path::new(".")))
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl From<std::fs::Metadata> for Status {
    fn from(metadata: std::fs::Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            mtime: metadata.mtime(),
        }
    }
}

impl FileSystem for Disk {
    type File = DiskFile;
    type Input = File;

    fn create(&self, name: &Path) -> io::Result<DiskFile> {
        if let Some((file, spare)) = self.spares.as_ref().and_then(Spares::take) {
            return Ok(DiskFile {
                file,
                first_name: Some(spare.path.clone()),
                former: Some(Former {
                    bytes: Cell::new(spare.bytes),
                    written: 0,
                    spare,
                }),
            });
        }
        if self.unnamed {
            match Self::create_unnamed(name) {
                Ok(file) => {
                    return Ok(DiskFile {
                        file,
                        first_name: None,
                        former: None,
                    });
                }
                // The file system has no such files.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(name)?;
        Ok(DiskFile {
            file,
            first_name: Some(name.to_owned()),
            former: None,
        })
    }

    fn inode(&self, file: &DiskFile) -> io::Result<u64> {
        Ok(file.file.metadata()?.ino())
    }

    fn link(&self, file: &DiskFile, name: &Path) -> io::Result<()> {
        file.cut()?;
        match (&file.first_name, &file.former) {
            // One step instead of a link now and an unlink later.
            (Some(first), Some(former)) => {
                os::file::rename_new(first, name)?;
                former.spare.renamed();
                Ok(())
            }
            (Some(first), None) => std::fs::hard_link(first, name),
            (None, _) => {
                let number = file.file.as_raw_fd();
                let source = format!("/proc/self/fd/{number}");
                let flags = AtFlags::AT_SYMLINK_FOLLOW;
                Ok(nix::unistd::linkat(
                    AT_FDCWD,
                    source.as_str(),
                    AT_FDCWD,
                    name,
                    flags,
                )?)
            }
        }
    }

    fn drop_first_name(&self, file: &DiskFile) -> io::Result<()> {
        match &file.first_name {
            // A link took it, or it is removed with the file.
            Some(_) if file.former.is_some() => Ok(()),
            Some(first) => std::fs::remove_file(first),
            None => Ok(()),
        }
    }

    fn unlink(&self, name: &Path) -> io::Result<()> {
        std::fs::remove_file(name)
    }

    fn finish(&self, name: &Path) -> io::Result<()> {
        match &self.finished {
            Some(finished) => finished
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(name),
            None => self.unlink(name),
        }
    }

    fn sync_file(&self, file: &DiskFile) -> io::Result<()> {
        file.cut()?;
        file.file.sync_all()
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        os::file::sync_directory(directory)
    }

    fn sync_message(&self, files: &[&DiskFile], directory: &Path) -> io::Result<()> {
        let one_by_one = || {
            files.iter().try_for_each(|file| self.sync_file(file))?;
            self.sync_directory(directory)
        };
        let Some(group) = &self.group else {
            return one_by_one();
        };
        files.iter().try_for_each(|file| file.cut())?;
        let of_message: Vec<&File> = files.iter().map(|file| &file.file).collect();
        group.sync(&of_message, one_by_one)
    }

    fn pull_trigger(&self, fifo: &Path) {
        // Nobody reads it while qmail-send is down; it scans when it starts.
        if let Ok(mut fifo) = os::file::open_fifo_write(fifo) {
            let _ = fifo.write(&[0]);
        }
    }

    fn create_named(&self, name: &Path) -> io::Result<DiskFile> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(PRIVATE_MODE);
        Ok(DiskFile {
            file: options.open(name)?,
            first_name: None,
            former: None,
        })
    }

    fn append(&self, name: &Path) -> io::Result<DiskFile> {
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(PRIVATE_MODE);
        Ok(DiskFile {
            file: options.open(name)?,
            first_name: None,
            former: None,
        })
    }

    fn truncate(&self, file: &DiskFile, bytes: u64) -> io::Result<()> {
        file.file.set_len(bytes)
    }

    fn overwrite(&self, name: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(name)?;
        file.write_all_at(bytes, offset)
    }

    fn set_mtime(&self, file: &DiskFile, time: i64) -> io::Result<()> {
        os::file::set_mtime(&file.file, time)
    }

    fn open(&self, name: &Path) -> io::Result<File> {
        File::open(name)
    }

    fn status_of(&self, input: &File) -> io::Result<Status> {
        Ok(input.metadata()?.into())
    }

    fn status(&self, name: &Path) -> io::Result<Status> {
        Ok(std::fs::metadata(name)?.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(found)
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.whole.iter().try_for_each(os::file::sync_file_system)
    }
}

impl DiskFile {
    /// Takes away what a former life left behind the end.
    fn cut(&self) -> io::Result<()> {
        if let Some(former) = &self.former
            && former.written < former.bytes.get()
        {
            self.file.set_len(former.written)?;
            former.bytes.set(former.written);
        }
        Ok(())
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        if let Some(former) = &mut self.former {
            former.written += length as u64;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
