//! What a multilog finds when the last one did not end well.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::directory::{CLOSED_MODE, Limits};
use crate::rotate::{finish, prune};

/// Finishes interrupted files, so that `current` can be appended to or is
/// gone.
pub fn recover(directory: &Path, limits: &Limits) -> io::Result<()> {
    if is_whole(&directory.join("current"))? == Some(true) {
        return Ok(());
    }
    for name in ["state", "newstate"] {
        remove(&directory.join(name))?;
    }
    if is_whole(&directory.join("processed"))? == Some(true) {
        remove(&directory.join("previous"))?;
        finish(directory, "processed", "s")?;
    } else {
        remove(&directory.join("processed"))?;
        finish_if_there(directory, "previous")?;
    }
    finish_if_there(directory, "current")?;
    prune(directory, limits.files_max)
}

/// Whether a file was closed whole; `None` when there is none.
fn is_whole(path: &Path) -> io::Result<Option<bool>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.permissions().mode() & 0o777 == CLOSED_MODE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn finish_if_there(directory: &Path, name: &str) -> io::Result<()> {
    let path = directory.join(name);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 0 => std::fs::remove_file(path),
        Ok(_) => finish(directory, name, "u"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
