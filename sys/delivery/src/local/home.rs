//! The recipient's home directory and its instruction files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dotqmail::OwnerFiles;

use super::Mode;
use crate::outcome::{Outcome, Step, reason};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
const OWNER_EXECUTES: u32 = 0o100;
/// Largest instruction file.
const INSTRUCTIONS_BYTES_MAX: u64 = 1 << 20;

/// A home directory that could be entered.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    mode: u32,
}

/// An instruction file.
pub(super) struct Found {
    pub(super) text: Vec<u8>,
    /// Its execute bit is set.
    pub(super) forwards_only: bool,
    /// What `default` in its name stands for starts here in the extension.
    pub(super) matched_from: Option<usize>,
}

impl Directory {
    pub(super) fn enter(home: &[u8]) -> Step<Self> {
        let path = PathBuf::from(OsStr::from_bytes(home));
        let fail = |error: &io::Error| {
            Outcome::temporary(format_args!(
                "Unable to switch to {}: {}. (#4.3.0)",
                printable(&path),
                reason(error)
            ))
        };
        if !path.is_absolute() {
            return Err(fail(&io::ErrorKind::InvalidInput.into()));
        }
        // The final dot makes sure that it is a directory we may enter.
        let metadata = std::fs::metadata(path.join(".")).map_err(|error| fail(&error))?;
        Ok(Self {
            path,
            mode: metadata.mode(),
        })
    }

    /// A home others can write to could hold anybody's instructions; one that
    /// is sticky is being edited. Both wait for the user.
    pub(super) fn check(&self, mode: Mode, output: &mut Vec<u8>) -> Step {
        if self.mode & WRITABLE_BY_OTHERS != 0 {
            return Err(Outcome::temporary(
                "Uh-oh: home directory is writable. (#4.7.0)",
            ));
        }
        if self.mode & STICKY == 0 {
            return Ok(());
        }
        if mode == Mode::Print {
            output.extend_from_slice(b"Warning: home directory is sticky.\n");
            return Ok(());
        }
        Err(Outcome::temporary(
            "Home directory is sticky: user is editing his .qmail file. (#4.2.1)",
        ))
    }

    /// The first of the candidates that exists; `None` for a user's own
    /// address without a `.qmail` file.
    pub(super) fn find_instructions(&self, dash: &[u8], ext: &[u8]) -> Step<Option<Found>> {
        for candidate in dotqmail::candidates(dash, ext) {
            let path = self.path.join(OsStr::from_bytes(&candidate.name));
            if let Some((text, mode)) = read_file(&path)? {
                return Ok(Some(Found {
                    text,
                    forwards_only: mode & OWNER_EXECUTES != 0,
                    matched_from: candidate.matched_from,
                }));
            }
        }
        if dash.is_empty() {
            return Ok(None);
        }
        Err(Outcome::permanent(
            "Sorry, no mailbox here by that name. (#5.1.1)",
        ))
    }

    pub(super) fn owner_files(&self, owner: &[u8], default: &[u8]) -> Step<OwnerFiles> {
        let exists = |name: &[u8]| {
            let path = self.path.join(OsStr::from_bytes(name));
            match std::fs::metadata(&path) {
                Ok(_) => Ok(true),
                Err(error) if is_absent(&error) => Ok(false),
                Err(error) => Err(unable_to_open(&path, &error)),
            }
        };
        Ok(match exists(owner)? {
            false => OwnerFiles::None,
            true if exists(default)? => OwnerFiles::OwnerAndDefault,
            true => OwnerFiles::Owner,
        })
    }
}

/// Content and mode of a regular file; anything else is as good as absent.
fn read_file(path: &Path) -> Step<Option<(Vec<u8>, u32)>> {
    let fail = |error| unable_to_open(path, &error);
    let opened = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(error) if is_absent(&error) => return Ok(None),
        result => result.map_err(fail)?,
    };
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(Outcome::temporary(
            "Uh-oh: .qmail file is writable. (#4.7.0)",
        ));
    }
    if INSTRUCTIONS_BYTES_MAX < metadata.len() {
        return Err(fail(io::ErrorKind::FileTooLarge.into()));
    }
    // One byte more, so that the end is seen with the last read.
    let mut text = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(INSTRUCTIONS_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(fail)?;
    Ok(Some((text, metadata.mode())))
}

/// Says whether there is no such file and never was one: also when the name
/// is longer than any file's, or a socket is in its place.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::ENOENT | nix::libc::ENAMETOOLONG | nix::libc::ENXIO | nix::libc::ENOTDIR)
    )
}

fn unable_to_open(path: &Path, error: &io::Error) -> Outcome {
    let name = path.file_name().unwrap_or(path.as_os_str());
    Outcome::temporary(format_args!(
        "Unable to open {}: {}. (#4.3.0)",
        printable(Path::new(name)),
        reason(error)
    ))
}

/// A path in a report: printable whatever an address put into it.
pub(super) fn printable(path: &Path) -> String {
    text::log::printable(path.as_os_str().as_bytes(), 1000)
}
