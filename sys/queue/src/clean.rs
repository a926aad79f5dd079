//! Removing a message's last files, as qmail-clean does it for others
//! (queue-and-delivery.md §4.11).

use std::io;
use std::path::{Path, PathBuf};

use wire::clean::Command;

use crate::files::remove;
use crate::{FileSystem, Layout};

/// A file that cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}")]
pub struct CleanError {
    /// Which.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Removes what a command names; files that are gone are removed. `intd` goes
/// first, because an envelope must never be without its text.
pub fn clean<F: FileSystem>(
    files: &F,
    layout: &Layout,
    command: Command,
) -> Result<(), CleanError> {
    let remove = |path: &Path| {
        remove(files, path).map_err(|source| CleanError {
            path: path.to_owned(),
            source,
        })
    };
    let (id, last) = match command {
        Command::Message(id) => (id, layout.mess(id)),
        Command::Todo(id) => (id, layout.todo(id)),
    };
    remove(&layout.intd(id))?;
    remove(&last)
}
