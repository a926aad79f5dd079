//! Looking at what is in `new` and `cur`.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::name::{FileName, Place};

/// A directory may have changed again without its time of change showing it
/// until this much later: clocks of file systems are coarse.
const SETTLE_NANOSECONDS: i128 = 2_000_000_000;

/// When `new` and `cur` changed last, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    pub(crate) new: i128,
    pub(crate) cur: i128,
    settled: bool,
}

impl Stamp {
    /// Looks at the directories of a folder.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let (seconds, nanoseconds) = os::clock::now();
        let now = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        let new = changed(folder, Place::New)?;
        let cur = changed(folder, Place::Cur)?;
        Ok(Self {
            new,
            cur,
            settled: new.max(cur) + SETTLE_NANOSECONDS < now,
        })
    }

    /// The times, if a later change is sure to change them.
    pub(crate) fn settled(self) -> Option<(i128, i128)> {
        self.settled.then_some((self.new, self.cur))
    }
}

fn changed(folder: &Path, place: Place) -> Result<i128> {
    let path = folder.join(place.directory());
    let metadata = std::fs::metadata(&path).map_err(|error| gone_or(error, "stat", &path))?;
    Ok(i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
}

fn gone_or(error: io::Error, action: &'static str, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NoSuchFolder,
        _ => Error::io(action, path)(error),
    }
}

/// Messages by base name.
pub(crate) type Files = HashMap<Box<[u8]>, FileName>;

/// What directories contained, and when they had changed before we looked.
pub(crate) struct Scan {
    pub(crate) stamp: Stamp,
    pub(crate) files: Files,
}

/// Lists a folder. `new` comes first: a message that moves to `cur` meanwhile
/// is seen there.
pub(crate) fn scan(folder: &Path) -> Result<Scan> {
    let stamp = Stamp::of(folder)?;
    let mut files = Files::new();
    for place in [Place::New, Place::Cur] {
        list(folder, place, &mut files)?;
    }
    Ok(Scan { stamp, files })
}

fn list(folder: &Path, place: Place, files: &mut Files) -> Result<()> {
    let path = folder.join(place.directory());
    let entries = std::fs::read_dir(&path).map_err(|error| gone_or(error, "list", &path))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &path))?;
        // No symbolic link: it could lead to another user's mail.
        let regular = entry.file_type().is_ok_and(|kind| kind.is_file());
        if let Some(name) = FileName::parse(place, entry.file_name().as_bytes())
            && regular
        {
            // The same base twice is one message, half renamed over a network
            // file system. The greater name is taken, so that every session
            // takes the same.
            let better = files
                .get(name.base())
                .is_none_or(|other| place_rank(other) < place_rank(&name));
            if better {
                files.insert(name.base().into(), name);
            }
        }
    }
    Ok(())
}

fn place_rank(name: &FileName) -> (bool, &[u8]) {
    (name.place() == Place::Cur, name.suffix())
}
