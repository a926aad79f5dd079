//! Why a message did not get into the queue, and how qmail-queue(8) says so.

use std::io;
use std::path::PathBuf;

use crate::{LayoutError, QueuesError};

/// Why a message did not get into the queue. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is longer than qmail-queue takes.
    #[error("address in envelope is longer than 1002 bytes")]
    AddressTooLong,
    /// An address has a control byte, or a recipient is empty.
    #[error("address in envelope is malformed")]
    Address,
    /// The message or the envelope could not be read.
    #[error("cannot read {what}")]
    Read {
        /// `message` or `envelope`.
        what: &'static str,
        /// Why not; an unexpected end when the caller gave up.
        source: io::Error,
    },
    /// The envelope is not one `F` record, then `T` records, then an empty one.
    #[error("envelope malformed")]
    Envelope,
    /// The header lines for the envelope (QQEH) are not header fields.
    #[error("lines to add (QQEH) are not header fields of at most 64 KiB")]
    ExtraHeaders,
    /// Less space is free than `MIN_FREE` demands.
    #[error("only {free} bytes are free in {queue}, MIN_FREE demands {wanted}")]
    Space {
        /// The queue.
        queue: PathBuf,
        /// What is there.
        free: u64,
        /// What should be.
        wanted: u64,
    },
    /// It cannot be told how much space is free.
    #[error("cannot find out how much is free in {queue}, as MIN_FREE demands")]
    SpaceUnknown {
        /// The queue.
        queue: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A control file or variable cannot be read.
    #[error(transparent)]
    Settings(#[from] run::SettingError),
    /// A line of `mailarchive` has a pattern that is none.
    #[error("in mailarchive: {0}")]
    Pattern(#[from] policy::addresses::BadPattern),
    /// No queue is configured where one should be.
    #[error(transparent)]
    Queues(#[from] QueuesError),
    /// The directory is not a queue.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file could not be created in `pid`.
    #[error("cannot create {path}")]
    Pid {
        /// Its name.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text could not be entered in `mess`; when its number is taken, the
    /// queue was copied or restored and needs `queue-fix`.
    #[error("cannot create {path}")]
    Mess {
        /// Its name.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The envelope could not be created in `intd`.
    #[error("cannot create {path}")]
    Intd {
        /// Its name.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The envelope could not be entered in `todo`.
    #[error("cannot create {path}")]
    Todo {
        /// Its name.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file could not be written or made durable.
    #[error("cannot write {path}")]
    Write {
        /// Its name.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory could not be made durable.
    #[error("cannot sync {path}")]
    SyncDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A user of the mail system cannot be found.
    #[error("cannot find out who owns {path}")]
    Owner {
        /// What should tell.
        path: PathBuf,
        /// Why it does not.
        source: io::Error,
    },
}

impl Error {
    /// The exit code of qmail-queue(8); 11 to 40 are permanent.
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_out_of_memory() => 51,
            Self::AddressTooLong => 11,
            Self::Address => 31,
            Self::Write { .. } | Self::Space { .. } => 53,
            Self::Read { .. } => 54,
            Self::Settings(_) | Self::Pattern(_) | Self::Queues(_) | Self::SpaceUnknown { .. } => {
                55
            }
            Self::Layout(_) => 62,
            Self::Pid { .. } => 63,
            Self::Mess { .. } => 64,
            Self::Intd { .. } => 65,
            Self::Todo { .. } => 66,
            Self::Owner { .. } => 67,
            Self::SyncDirectory { .. } => 69,
            Self::Envelope => 79,
            Self::ExtraHeaders => 87,
        }
    }

    fn is_out_of_memory(&self) -> bool {
        let source = std::error::Error::source(self);
        source
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|source| source.kind() == io::ErrorKind::OutOfMemory)
    }
}

impl run::Fatal for Error {
    fn exit_code(&self) -> u8 {
        Self::exit_code(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_11_to_40_are_permanent() {
        for code in 1..=u8::MAX {
            let permanent = wire::queue::report(code).starts_with('D');
            assert_eq!(permanent, matches!(code, 11..=40 | 115), "{code}");
            assert!(permanent || wire::queue::report(code).starts_with('Z'));
        }
    }

    #[test]
    fn want_of_memory_is_temporary_wherever_it_happens() {
        let error = Error::Mess {
            path: PathBuf::from("mess/1/24"),
            source: io::ErrorKind::OutOfMemory.into(),
        };
        assert_eq!(error.exit_code(), 51);
        assert_eq!(Error::AddressTooLong.exit_code(), 11);
        assert_eq!(Error::Envelope.exit_code(), 79);
    }
}
