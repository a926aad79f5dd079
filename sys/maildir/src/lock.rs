//! Locks of folders and of whole Maildirs.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// The lock of a folder: UIDs, renames, removals.
const FOLDER_LOCK: &str = "indimail.lock";

/// The lock of a Maildir: folders, subscriptions, UIDVALIDITY.
const ACCOUNT_LOCK: &str = "indimail.account.lock";

/// Takes the lock of a folder unless somebody has it.
pub(crate) fn try_folder(folder: &Path) -> Result<Option<os::file::Lock>> {
    os::file::try_lock(open(&folder.join(FOLDER_LOCK))?).map_err(Error::io("lock", folder))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoSuchFolder,
            _ => Error::io("open", path)(error),
        })
}

/// Takes the lock of a folder.
pub(crate) fn folder(folder: &Path) -> Result<os::file::Lock> {
    os::file::lock(open(&folder.join(FOLDER_LOCK))?).map_err(Error::io("lock", folder))
}

/// Takes the lock of a whole Maildir: folders, subscriptions, UIDVALIDITY.
pub(crate) fn account(root: &Path) -> Result<os::file::Lock> {
    os::file::lock(open(&root.join(ACCOUNT_LOCK))?).map_err(Error::io("lock", root))
}
