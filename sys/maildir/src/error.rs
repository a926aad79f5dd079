//! Why something about a mailbox did not work.

use std::io;
use std::path::{Path, PathBuf};

use crate::folder::NameError;

/// Why an operation on an account or a mailbox failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused something. Always temporary.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no such folder (any more).
    #[error("no such folder")]
    NoSuchFolder,
    /// A folder of that name exists already.
    #[error("folder exists already")]
    FolderExists,
    /// INBOX can be neither created nor deleted, and a folder cannot become
    /// its own child.
    #[error("not possible with this folder")]
    FolderRefused,
    /// The name cannot be a folder's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No message has this UID (any more).
    #[error("no message {0}")]
    NoSuchMessage(u32),
    /// The folder has as many keywords as it can, or the keyword is no atom.
    #[error("keyword cannot be stored")]
    Keyword,
    /// The mailbox was opened for reading only.
    #[error("mailbox is open read-only")]
    ReadOnly,
    /// Another program renames files faster than we find them.
    #[error("message {0} does not stand still; try again")]
    Contended(u32),
    /// The index was removed or rebuilt while the folder was open, so UIDs
    /// mean something else now. Open it again.
    #[error("folder was rebuilt meanwhile")]
    Rebuilt,
    /// All UIDs of the folder have been used.
    #[error("no more UIDs in this folder")]
    UidsExhausted,
}

impl Error {
    /// Says whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Contended(_))
    }

    /// Says whether the disk or the owner's disk quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }

    /// For `map_err`: what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// What the functions of this crate return.
pub(crate) type Result<T> = std::result::Result<T, Error>;
