//! Putting one message into a maildir (queue-and-delivery.md §6.7).
//!
//! The order is what makes it durable, and nothing of it may be left out:
//!
//! 1. create `tmp/NAME`, which must not exist, and write the message;
//! 2. sync the file: content and inode are on disk;
//! 3. link it to `new/NAME`: readers see all of it or nothing;
//! 4. sync `new`: the name is on disk, and only now the delivery counts;
//! 5. unlink `tmp/NAME`.
//!
//! Where the file system can, the file of step 1 has no name at first; then
//! step 5 has nothing to do, and a crash leaves nothing in `tmp`.
//!
//! A crash before 4 leaves the message to the queue, which delivers again;
//! one after 4 leaves a second name in `tmp`, which readers never look at and
//! which is removed after 36 hours. The maildir itself is never created here.
//!
//! The order is written over the small trait [`Place`]; the real maildir and
//! one that crashes run the same code.

mod opened;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use os::group_sync::GroupSync;

use opened::Opened;

/// Bytes of a message that are read at first: most have no more.
const FIRST_CHUNK_BYTES: usize = 16 * 1024;
/// Bytes copied at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Names tried in `tmp`; each contains the microsecond it was made in.
const NAMES_MAX: u32 = 1000;

/// Why a message is not in the maildir. All but [`Error::Full`] are
/// temporary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The maildir, its `tmp` or its `new` cannot be entered.
    #[error("unable to enter maildir {path}")]
    Enter {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The message cannot be read.
    #[error("unable to read message")]
    Read(#[source] io::Error),
    /// The disk quota of the mailbox's owner is used up.
    #[error("disk quota exceeded")]
    Full(#[source] io::Error),
    /// The message cannot be written or made durable.
    #[error("unable to write to maildir {path}")]
    Write {
        /// The maildir.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A message that is in the maildir, on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// Its name in `new`.
    pub name: String,
    /// Its size, as the name says after `,S=`.
    pub bytes: u64,
}

/// What a delivery does to a maildir. Names are those of files in `tmp` or
/// `new`.
pub trait Place {
    /// A file being written.
    type File: Write;

    /// Creates a file in `tmp`, which must not exist.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// The file's inode number and that of its device.
    fn identity(&self, file: &Self::File) -> io::Result<(u64, u64)>;

    /// Makes the content durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file, `temporary` in `tmp`, a name in `new`, which must not
    /// exist.
    fn link(&self, file: &Self::File, temporary: &str, name: &str) -> io::Result<()>;

    /// Makes the names in `new` durable; the file is the one linked there.
    fn sync_new(&self, file: &Self::File) -> io::Result<()>;

    /// Removes a name from `new`.
    fn unlink_new(&self, name: &str) -> io::Result<()>;

    /// Removes a file's name from `tmp`.
    fn unlink_tmp(&self, file: &Self::File, name: &str) -> io::Result<()>;
}

/// Delivers `prefix` followed by the whole of `message` (from its first byte,
/// whatever its offset; the offset does not move). `host` is the name of this
/// machine. Programs that deliver in many threads share their syncs in
/// `group`.
pub fn deliver(
    maildir: &Path,
    host: &str,
    prefix: &[u8],
    message: &File,
    group: Option<&GroupSync>,
) -> Result<Delivered, Error> {
    let place = Opened::new(maildir, group)?;
    deliver_to(&place, maildir, host, prefix, message)
}

/// As [`deliver`], to any place; errors name it `maildir`.
pub fn deliver_to<P: Place>(
    place: &P,
    maildir: &Path,
    host: &str,
    prefix: &[u8],
    message: &impl FileExt,
) -> Result<Delivered, Error> {
    let write = |source: io::Error| match source.raw_os_error() {
        Some(nix::libc::EDQUOT) => Error::Full(source),
        _ => Error::Write {
            path: maildir.to_owned(),
            source,
        },
    };
    let (mut file, temporary) = create(place, host).map_err(write)?;
    let mut fill = || {
        let bytes = copy(&mut file, prefix, message).map_err(|error| match error {
            CopyError::Read(source) => Error::Read(source),
            CopyError::Write(source) => write(source),
        })?;
        place.sync_file(&file).map_err(write)?;
        let identity = place.identity(&file).map_err(write)?;
        let name = final_name(host, identity, bytes);
        // EEXIST is another message with our name: a failure, not a success.
        place.link(&file, &temporary, &name).map_err(write)?;
        if let Err(error) = place.sync_new(&file) {
            // Nobody knows what is on disk now: take the name back and let
            // the queue deliver again.
            let _ = place.unlink_new(&name);
            return Err(write(error));
        }
        Ok(Delivered { name, bytes })
    };
    let result = fill();
    // The message is where it belongs, or will be delivered again: a file
    // left in `tmp` is no reason to say otherwise.
    let _ = place.unlink_tmp(&file, &temporary);
    result
}

/// The host as names of messages have it: no `/` and no `:`.
pub fn host_part(host: &str) -> String {
    host.replace('/', "057").replace(':', "072")
}

fn create<P: Place>(place: &P, host: &str) -> io::Result<(P::File, String)> {
    let mut tries = 0;
    loop {
        let (seconds, nanoseconds) = os::clock::now();
        let name = format!(
            "{seconds}.M{}P{}.{}",
            nanoseconds / 1000,
            std::process::id(),
            host_part(host)
        );
        match place.create(&name) {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAMES_MAX => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_micros(u64::from(tries)));
            }
            Err(error) => return Err(error),
        }
    }
}

fn final_name(host: &str, (inode, device): (u64, u64), bytes: u64) -> String {
    let (seconds, nanoseconds) = os::clock::now();
    format!(
        "{seconds}.I{inode:x}V{device:x}M{}P{}.{},S={bytes}",
        nanoseconds / 1000,
        std::process::id(),
        host_part(host)
    )
}

/// Which side of a copy failed.
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Writes the prefix and the message; how many bytes that were.
fn copy(to: &mut impl Write, prefix: &[u8], message: &impl FileExt) -> Result<u64, CopyError> {
    let mut buffer = prefix.to_vec();
    let (mut offset, mut written) = (0, 0);
    let mut chunk = FIRST_CHUNK_BYTES;
    loop {
        // The prefix shares its first write with the start of the message,
        // so that a small message is one write.
        let kept = buffer.len();
        buffer.resize(kept + chunk, 0);
        let got = match message.read_at(&mut buffer[kept..], offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                buffer.truncate(kept);
                continue;
            }
            result => result.map_err(CopyError::Read)?,
        };
        buffer.truncate(kept + got);
        to.write_all(&buffer).map_err(CopyError::Write)?;
        written += buffer.len() as u64;
        if got == 0 {
            return Ok(written);
        }
        if got < chunk {
            return Ok(written);
        }
        offset += got as u64;
        chunk = CHUNK_BYTES;
        buffer.clear();
    }
}

#[cfg(test)]
mod tests;
