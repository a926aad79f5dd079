//! A maildir on a real file system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use os::group_sync::GroupSync;

use super::{Error, Place};

/// Its `tmp` and `new`, open, so that nobody can exchange them meanwhile.
pub(super) struct Opened<'a> {
    tmp: OwnedFd,
    new: OwnedFd,
    group: Option<&'a GroupSync>,
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
    fn group_of(&self, file: &File) -> io::Result<Option<&GroupSync>> {
        match self.group {
            Some(group) if group.covers(file)? => Ok(Some(group)),
            _ => Ok(None),
        }
    }
}

impl Place for Opened<'_> {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.tmp, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    fn identity(&self, file: &File) -> io::Result<(u64, u64)> {
        let metadata = file.metadata()?;
        Ok((metadata.ino(), metadata.dev()))
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        let Some(group) = self.group_of(file)? else {
            return file.sync_all();
        };
        group.sync(&[file], || file.sync_all())
    }

    fn link(&self, temporary: &str, name: &str) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(linkat(&self.tmp, temporary, &self.new, name, flags)?)
    }

    /// The directory is on the file system of the file linked into it.
    fn sync_new(&self, file: &File) -> io::Result<()> {
        let alone = || nix::unistd::fsync(&self.new).map_err(io::Error::from);
        match self.group_of(file)? {
            Some(group) => group.sync(&[], alone),
            None => alone(),
        }
    }

    fn unlink_new(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.new, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn unlink_tmp(&self, name: &str) -> io::Result<()> {
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
