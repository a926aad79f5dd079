//! What was found in a directory: whose it is, and giving it away.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::fcntl::AtFlags;
use nix::unistd::{Gid, Uid, fchownat};

use super::refused;
use crate::account::Identity;

/// Something in a directory, held whatever becomes of its name.
#[derive(Debug)]
pub struct Entry {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) names_max: u64,
}

impl Entry {
    /// Accepts so many names of the file: those the caller knows.
    pub fn with_names(mut self, names_max: u64) -> Self {
        self.names_max = names_max;
        self
    }

    /// What it was like when it was opened.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Who it belonged to.
    pub fn owner(&self) -> Identity {
        Identity {
            uid: self.metadata.uid(),
            gid: self.metadata.gid(),
        }
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.metadata.mode() & 0o7777
    }

    /// Says whether it has names the caller does not know.
    pub fn is_shared(&self) -> bool {
        !self.metadata.is_dir() && self.names_max < self.metadata.nlink()
    }

    /// Gives it to somebody.
    pub fn give(&self, to: Identity) -> io::Result<()> {
        if self.owner() == to {
            return Ok(());
        }
        self.is_all_ours()?;
        let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
        let flags = AtFlags::AT_EMPTY_PATH;
        Ok(fchownat(&self.file, "", Some(uid), Some(gid), flags)?)
    }

    /// Sets its permission bits.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.is_all_ours()?;
        // What is only held has no fchmod; this name is of the open file.
        let path = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    }

    /// A file with a name that the caller does not know may be somebody
    /// else's, and a symbolic link is never meant.
    fn is_all_ours(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.is_symlink() {
            return Err(refused("is a symbolic link"));
        }
        if !metadata.is_dir() && self.names_max < metadata.nlink() {
            return Err(refused(
                "has another name elsewhere: it may be somebody else's file",
            ));
        }
        Ok(())
    }
}
