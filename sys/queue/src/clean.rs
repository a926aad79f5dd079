//! Removing a message's last files, as qmail-clean does it for others
//! (queue-and-delivery.md §4.11).

use std::io;
use std::path::{Path, PathBuf};

use wire::clean::Command;

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
    let told = |path: &Path, result: io::Result<()>| match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CleanError {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    };
    let (id, last) = match command {
        Command::Message(id) => (id, layout.mess(id)),
        Command::Todo(id) => (id, layout.todo(id)),
    };
    let intd = layout.intd(id);
    told(&intd, files.unlink(&intd))?;
    told(&last, files.finish(&last))
}
