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
            Self::Settings(_) | Self::Queues(_) | Self::SpaceUnknown { .. } => 55,
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

/// What a caller reports for an exit code of a queue program: `D` permanent
/// or `Z` temporary, then the text; empty for success. For code 88 it is the
/// text of a program that gave none.
pub fn report(code: u8) -> &'static str {
    match code {
        0 => "",
        11 | 115 => "Denvelope address too long for qq (#5.1.3)",
        31 => "Dmail server permanently rejected message (#5.3.0)",
        32 => "DSPAM or junk mail threshold exceeded (#5.7.1)",
        33 => "DMessage contains virus (#5.7.1)",
        34 => "DMessage contains banned attachment (#5.7.1)",
        35 => "DPrivate key file does not exist (#5.3.5)",
        50 => "Zunable to set uid/gid (#4.3.0)",
        51 => "Zqq out of memory (#4.3.0)",
        52 => "Zqq timeout (#4.3.0)",
        53 => "Zqq write error or disk full (#4.3.0)",
        54 => "Zqq read error (#4.3.0)",
        55 => "Zqq unable to read configuration (#4.3.0)",
        56 => "Zqq trouble making network connection (#4.3.0)",
        57 => "Zunable to open shared object/plugin (#4.3.0)",
        58 => "Zunable to find symbol in shared object/plugin (#4.3.0)",
        59 => "Zunable to close shared object/plugin (#4.3.0)",
        60 => "Zqq trouble creating pipes (#4.3.0)",
        61 => "Zqq trouble in home directory (#4.3.0)",
        62..=66 => "Zqq trouble creating files in queue (#4.3.0)",
        67 | 78 => "Zqq trouble getting uids/gids (#4.3.0)",
        68 => "Zqq trouble creating temporary files (#4.3.0)",
        69 => "Zqq trouble syncing directories in queue (#4.3.0)",
        70 | 80 | 83 => "Zqq trouble removing files in queue (#4.3.0)",
        71 => "Zmail server temporarily rejected message (#4.3.0)",
        72 => "Zconnection to mail server timed out (#4.4.1)",
        73 => "Zconnection to mail server rejected (#4.4.1)",
        74 => "Zcommunication with mail server failed (#4.4.2)",
        75 => "Zunable to exec filter (#4.3.0)",
        76 => "Ztemporary problem with SPAM filter (#4.3.0)",
        77 => "Zqq unable to run QHPSI scanner (#4.3.0)",
        79 | 91 => "Zqq envelope format error (#4.3.0)",
        81 => "Zqq internal bug (#4.3.0)",
        82 | 120 => "Zunable to exec qq (#4.3.0)",
        87 => "Zmail system incorrectly configured. (#4.3.5)",
        121 => "Zunable to fork filter (#4.3.0)",
        122 => "Zqq waitpid surprise (#4.3.0)",
        123 => "Zqq crashed (#4.3.0)",
        12..=40 => "Dqq permanent problem (#5.3.0)",
        _ => "Zqq temporary problem (#4.3.0)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_11_to_40_are_permanent() {
        for code in 1..=u8::MAX {
            let permanent = report(code).starts_with('D');
            assert_eq!(permanent, matches!(code, 11..=40 | 115), "{code}");
            assert!(permanent || report(code).starts_with('Z'));
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
