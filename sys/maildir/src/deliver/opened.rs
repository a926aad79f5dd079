//! A maildir on a real file system.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use os::group_sync::GroupSync;

use super::{Error, Place};

/// Where a file without a name is linked from.
const DESCRIPTORS: &str = "/proc/self/fd";
/// Mail is for its owner only.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Its `tmp` and `new`, open, so that nobody can exchange them meanwhile.
pub(super) struct Opened<'a> {
    tmp: OwnedFd,
    new: OwnedFd,
    group: Option<&'a GroupSync>,
}

/// A message being written.
#[derive(Debug)]
pub(super) struct Fresh {
    file: File,
    inode: u64,
    device: u64,
    /// It has a name in `tmp`.
    is_named: bool,
}

impl<'a> Opened<'a> {
    pub(super) fn new(maildir: &Path, group: Option<&'a GroupSync>) -> Result<Self, Error> {
        let enter = |name: &str| {
            let path = maildir.join(name);
            open_directory(&path).map_err(|source| Error::Enter { path, source })
        };
        Ok(Self {
            tmp: enter("tmp")?,
            new: enter("new")?,
            group,
        })
    }

    /// The group, when the file is on the file system it syncs.
    fn group_of(&self, file: &Fresh) -> Option<&GroupSync> {
        self.group.filter(|group| group.device() == file.device)
    }

    fn create_unnamed(&self) -> nix::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_TMPFILE | OFlag::O_CLOEXEC;
        Ok(openat(&self.tmp, ".", flags, MODE)?.into())
    }

    fn create_named(&self, name: &str) -> nix::Result<File> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.tmp, name, flags, MODE)?.into())
    }
}

impl Fresh {
    fn new(file: File, is_named: bool) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            file,
            inode: metadata.ino(),
            device: metadata.dev(),
            is_named,
        })
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Place for Opened<'_> {
    type File = Fresh;

    fn create(&self, name: &str) -> io::Result<Fresh> {
        static CAN_LINK: OnceLock<bool> = OnceLock::new();
        if *CAN_LINK.get_or_init(|| Path::new(DESCRIPTORS).is_dir()) {
            match self.create_unnamed() {
                Ok(file) => return Fresh::new(file, false),
                // The file system has no such files.
                Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Fresh::new(self.create_named(name)?, true)
    }

    fn identity(&self, file: &Fresh) -> io::Result<(u64, u64)> {
        Ok((file.inode, file.device))
    }

    fn sync_file(&self, file: &Fresh) -> io::Result<()> {
        let alone = || file.file.sync_all();
        match self.group_of(file) {
            Some(group) => group.sync(&[&file.file], alone),
            None => alone(),
        }
    }

    fn link(&self, file: &Fresh, temporary: &str, name: &str) -> io::Result<()> {
        if file.is_named {
            let flags = AtFlags::empty();
            return Ok(linkat(&self.tmp, temporary, &self.new, name, flags)?);
        }
        let source = format!("{DESCRIPTORS}/{}", file.file.as_raw_fd());
        let flags = AtFlags::AT_SYMLINK_FOLLOW;
        Ok(linkat(AT_FDCWD, &source[..], &self.new, name, flags)?)
    }

    /// The directory is on the file system of the file linked into it.
    fn sync_new(&self, file: &Fresh) -> io::Result<()> {
        let alone = || nix::unistd::fsync(&self.new).map_err(io::Error::from);
        match self.group_of(file) {
            Some(group) => group.sync(&[], alone),
            None => alone(),
        }
    }

    fn unlink_new(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.new, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn unlink_tmp(&self, file: &Fresh, name: &str) -> io::Result<()> {
        if !file.is_named {
            return Ok(());
        }
        Ok(unlinkat(&self.tmp, name, UnlinkatFlags::NoRemoveDir)?)
    }
}

/// A symbolic link as `tmp` or `new` could lead anywhere; it is refused.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
        .open(path)?;
    Ok(file.into())
}
