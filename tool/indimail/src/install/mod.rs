//! The steps that make an installation. Each can be done again: what is
//! there stays as the administrator left it, what is missing is added.

pub mod accounts;
pub mod controls;
pub mod keys;
pub mod programs;
pub mod reach;
pub mod tree;

use std::io;
use std::path::PathBuf;

/// A step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The disk or its permissions are in the way.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// A verb.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program we need failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which, with its arguments.
        program: String,
        /// What it printed.
        output: String,
    },
    /// A system account is missing.
    #[error(transparent)]
    Account(#[from] os::account::AccountError),
    /// A key or certificate could not be made.
    #[error("cannot create keys: {0}")]
    Keys(String),
    /// A directory above the root is closed.
    #[error(
        "{0} is closed to other users, and the services run as users of their own; choose \
         another place with --root, or let others pass with: chmod o+x {0}"
    )]
    Closed(PathBuf),
    /// A program of ours is not beside this one.
    #[error("{0} is not beside this program; build all of them first (cargo xtask build)")]
    NotBuilt(PathBuf),
}

/// Makes the error of a failed file operation.
pub fn file_error(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.into();
    move |source| InstallError::File { what, path, source }
}
