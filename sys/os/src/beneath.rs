//! Files in directories that somebody less trusted can change at any moment.
//!
//! Root mends queues, writes holds and gives keys to their owner in
//! directories of other users. A name there may be a symbolic link to any
//! file by the time it is used, or a second name of one. So everything here
//! starts at an open directory, goes from component to component without
//! following a link, and changes owners and modes of what was opened and
//! looked at, never of a name.

mod entry;

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};

use crate::account::Identity;

pub use entry::Entry;

/// Longest chain of links to a directory.
const LINKS_MAX: usize = 8;

/// An open directory; names are relative to it and never lead out of it.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be written in place.
    Write,
    /// To be written at its end.
    Append,
}

impl Directory {
    /// Opens a directory. A symbolic link is followed only when it belongs to
    /// root or to the user of this process: an administrator may have put the
    /// directory on another disk, its owner may not lead us elsewhere.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut place = std::path::absolute(path)?;
        for _ in 0..LINKS_MAX {
            let found = held(AT_FDCWD, place.as_os_str())?;
            let metadata = found.metadata()?;
            if !metadata.is_symlink() {
                let fd = openat(
                    AT_FDCWD,
                    &place,
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
                    Mode::empty(),
                )?;
                return Ok(Self {
                    fd,
                    path: path.to_owned(),
                });
            }
            if ![0, Uid::effective().as_raw()].contains(&metadata.uid()) {
                return Err(refused("is a symbolic link of another user"));
            }
            let target = readlinkat(&found, "")?;
            place = place.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(Errno::ELOOP.into())
    }

    /// Opens a directory below this one.
    pub fn directory(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let name = name.as_ref();
        let fd = self.open_at(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
        Ok(Self {
            fd: fd.into(),
            path: self.path.join(name),
        })
    }

    /// How it was called when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is like itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        File::from(self.fd.try_clone()?).metadata()
    }

    /// A path to this very directory, whatever its name is by now; for what
    /// takes paths only.
    pub fn lasting_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Holds what is there: a link itself, not what it leads to. The empty
    /// name is the directory itself.
    pub fn entry(&self, name: impl AsRef<Path>) -> io::Result<Entry> {
        let (parent, last) = self.parent_of(name.as_ref())?;
        let last = last.unwrap_or(OsStr::new("."));
        let file = held(&parent, last)?;
        Ok(Entry {
            metadata: file.metadata()?,
            file,
            names_max: 1,
        })
    }

    /// As [`Directory::entry`]; `None` when nothing is there.
    pub fn find(&self, name: impl AsRef<Path>) -> io::Result<Option<Entry>> {
        match self.entry(name) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file; never waits for whoever may be behind a FIFO.
    pub fn file(&self, name: impl AsRef<Path>, access: Access) -> io::Result<File> {
        let flags = match access {
            Access::Read => OFlag::O_RDONLY,
            Access::Write => OFlag::O_WRONLY,
            Access::Append => OFlag::O_WRONLY | OFlag::O_APPEND,
        };
        let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = self.open_at(name.as_ref(), flags, 0)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(refused("is no regular file")),
        }
    }

    /// Makes a file that must not exist, with exactly this mode.
    pub fn create(&self, name: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = self.open_at(name.as_ref(), flags, mode & 0o600)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Replaces a file in one durable step: written beside it, synced and
    /// renamed. It belongs to `owner`, when one is given.
    pub fn replace(
        &self,
        name: impl AsRef<Path>,
        content: &[u8],
        mode: u32,
        owner: Option<Identity>,
    ) -> io::Result<()> {
        let name = name.as_ref();
        let mut temporary = name.as_os_str().to_owned();
        temporary.push(".tmp");
        match self.remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.create(&temporary, mode & 0o7700)?;
        file.write_all(content)?;
        if let Some(Identity { uid, gid }) = owner {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        // After the owner, who takes set-uid bits away.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        self.rename(&temporary, name)?;
        self.sync(name.parent().unwrap_or(Path::new("")))
    }

    /// Makes a directory that must not exist, with exactly this mode.
    pub fn make_directory(&self, name: impl AsRef<Path>, mode: u32) -> io::Result<()> {
        let name = name.as_ref();
        let (parent, last) = self.parent_of(name)?;
        let last = last.ok_or(Errno::EEXIST)?;
        mkdirat(&parent, last, Mode::from_bits_truncate(mode & 0o700))?;
        self.entry(name)?.set_mode(mode)
    }

    /// Makes a FIFO that must not exist, with exactly this mode.
    pub fn make_fifo(&self, name: impl AsRef<Path>, mode: u32) -> io::Result<()> {
        let name = name.as_ref();
        let (parent, last) = self.parent_of(name)?;
        let last = last.ok_or(Errno::EEXIST)?;
        nix::unistd::mkfifoat(&parent, last, Mode::from_bits_truncate(mode & 0o600))?;
        self.entry(name)?.set_mode(mode)
    }

    /// Renames; what has the new name is replaced.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        self.rename_into(from, self, to)
    }

    /// Renames to a name below another directory.
    pub fn rename_into(
        &self,
        from: impl AsRef<Path>,
        directory: &Self,
        to: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (old, from) = self.parent_of(from.as_ref())?;
        let (new, to) = directory.parent_of(to.as_ref())?;
        let (from, to) = (from.ok_or(Errno::EINVAL)?, to.ok_or(Errno::EINVAL)?);
        Ok(renameat(&old, from, &new, to)?)
    }

    /// Removes a name of anything but a directory.
    pub fn remove_file(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.unlink(name.as_ref(), UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.unlink(name.as_ref(), UnlinkatFlags::RemoveDir)
    }

    /// The names in a directory, in order; the empty name is this one.
    pub fn names(&self, name: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        // A description of its own: the position in it is not shared.
        let opened = self.open_at(name.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
        let mut directory = nix::dir::Dir::from_fd(opened.into())?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes the names in a directory durable; the empty name is this one.
    pub fn sync(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.open_at(name.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?
            .sync_all()
    }

    /// Makes everything durable that was written to its file system.
    pub fn sync_file_system(&self) -> io::Result<()> {
        crate::file::sync_file_system(&self.open_at(Path::new(""), OFlag::O_RDONLY, 0)?)
    }

    /// Takes the lock of the directory without waiting; `None` when somebody
    /// has it.
    pub fn try_lock(&self) -> io::Result<Option<crate::file::Lock>> {
        crate::file::try_lock(self.open_at(Path::new(""), OFlag::O_RDONLY, 0)?)
    }

    fn unlink(&self, name: &Path, flags: UnlinkatFlags) -> io::Result<()> {
        let (parent, last) = self.parent_of(name)?;
        Ok(unlinkat(&parent, last.ok_or(Errno::EINVAL)?, flags)?)
    }

    fn open_at(&self, name: &Path, flags: OFlag, mode: u32) -> io::Result<File> {
        let (parent, last) = self.parent_of(name)?;
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let last = last.unwrap_or(OsStr::new("."));
        let opened = openat(&parent, last, flags, Mode::from_bits_truncate(mode))?;
        Ok(opened.into())
    }

    /// The directory a name is in, and its last component; `None` for the
    /// empty name.
    fn parent_of<'a>(&self, name: &'a Path) -> io::Result<(OwnedFd, Option<&'a OsStr>)> {
        let mut place = self.fd.try_clone()?;
        let mut last = None;
        for component in name.components() {
            let Component::Normal(component) = component else {
                return Err(refused("leads out of the directory"));
            };
            if let Some(inner) = last.replace(component) {
                let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
                let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                place = openat(&place, inner, flags, Mode::empty())?;
            }
        }
        Ok((place, last))
    }
}

impl From<Directory> for OwnedFd {
    fn from(directory: Directory) -> Self {
        directory.fd
    }
}

/// Opens a regular file to be read, in a directory of somebody else's: a link
/// is not followed, and nobody waits at a FIFO.
pub fn read(path: &Path) -> io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    Directory::open(parent)?.file(name, Access::Read)
}

/// Opens without reading or writing: whatever it is, nothing happens to it.
fn held(directory: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(directory, name, flags, Mode::empty())?.into())
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory beside a file that is none of its business.
    fn place() -> (tempfile::TempDir, Directory, PathBuf) {
        let all = tempfile::tempdir().unwrap();
        let path = all.path().join("queue");
        std::fs::create_dir_all(path.join("mess/3")).unwrap();
        let victim = all.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        let directory = Directory::open(&path).unwrap();
        (all, directory, victim)
    }

    #[test]
    fn a_link_is_never_followed() {
        let (all, directory, victim) = place();
        symlink(&victim, directory.path().join("tcpto")).unwrap();
        symlink(all.path(), directory.path().join("hold")).unwrap();
        symlink("mess", directory.path().join("inside")).unwrap();
        for access in [Access::Read, Access::Write, Access::Append] {
            assert!(directory.file("tcpto", access).is_err());
            assert!(directory.file("hold/victim", access).is_err());
        }
        assert!(directory.create("tcpto", 0o644).is_err());
        assert!(directory.create("hold/new", 0o644).is_err());
        assert!(directory.make_directory("inside/4", 0o700).is_err());
        assert!(directory.make_fifo("hold/fifo", 0o622).is_err());
        assert!(directory.names("hold").is_err());
        assert!(directory.directory("hold").is_err());
        assert!(directory.remove_file("hold/victim").is_err());
        assert!(directory.replace("hold/victim", b"", 0o644, None).is_err());
        let entry = directory.entry("tcpto").unwrap();
        assert!(entry.metadata().is_symlink());
        assert!(entry.set_mode(0o777).is_err());
        let other = Identity { uid: 1, gid: 1 };
        assert!(entry.give(other).is_err());
        for name in ["../victim", "/etc/passwd", "mess/../../victim"] {
            assert!(directory.entry(name).is_err(), "{name}");
        }
        // Replacing a link replaces the link.
        directory.replace("tcpto", b"new", 0o644, None).unwrap();
        assert_eq!(
            std::fs::read(directory.path().join("tcpto")).unwrap(),
            b"new"
        );
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert_eq!(victim.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_with_another_name_keeps_owner_and_mode() {
        let (_all, directory, victim) = place();
        std::fs::hard_link(&victim, directory.path().join("mess/3/7")).unwrap();
        let entry = directory.entry("mess/3/7").unwrap();
        assert!(entry.set_mode(0o777).is_err());
        assert!(entry.give(Identity { uid: 1, gid: 1 }).is_err());
        assert_eq!(victim.metadata().unwrap().mode() & 0o777, 0o600);
        entry.with_names(2).set_mode(0o640).unwrap();
        assert_eq!(victim.metadata().unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn nobody_waits_at_a_fifo() {
        let (_all, directory, _) = place();
        directory.make_fifo("trigger", 0o622).unwrap();
        assert!(directory.file("trigger", Access::Read).is_err());
        assert!(directory.file("trigger", Access::Write).is_err());
        assert_eq!(directory.entry("trigger").unwrap().mode(), 0o622);
        assert!(read(&directory.path().join("trigger")).is_err());
    }

    #[test]
    fn files_come_and_go() {
        let (_all, directory, _) = place();
        let mut file = directory.create("mess/3/7", 0o640).unwrap();
        file.write_all(b"text").unwrap();
        assert!(directory.create("mess/3/7", 0o640).is_err());
        assert_eq!(directory.entry("mess/3/7").unwrap().mode(), 0o640);
        directory.make_directory("mess/4", 0o2750).unwrap();
        assert_eq!(directory.entry("mess/4").unwrap().mode(), 0o2750);
        directory.rename("mess/3/7", "mess/4/8").unwrap();
        assert_eq!(directory.names("mess").unwrap(), ["3", "4"]);
        assert_eq!(directory.names("").unwrap(), ["mess"]);
        assert!(directory.find("mess/3/7").unwrap().is_none());
        directory.remove_file("mess/4/8").unwrap();
        directory.remove_directory("mess/4").unwrap();
        directory.sync("mess").unwrap();
        let mess = directory.directory("mess").unwrap();
        assert_eq!(mess.names("").unwrap(), ["3"]);
        assert_eq!(std::fs::read_dir(mess.lasting_path()).unwrap().count(), 1);
    }

    #[test]
    fn only_links_of_root_or_ours_lead_to_a_directory() {
        let (all, directory, _) = place();
        let link = all.path().join("link");
        symlink("queue", &link).unwrap();
        let names = Directory::open(&link).unwrap().names("").unwrap();
        assert_eq!(names, directory.names("").unwrap());
        let circle = all.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(Directory::open(&circle).is_err());
        if crate::account::is_root() {
            std::os::unix::fs::lchown(&link, Some(4001), Some(4001)).unwrap();
            assert!(Directory::open(&link).is_err());
        }
    }
}
