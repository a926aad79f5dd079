//! Programs that a message is passed through: it is on their descriptor 0 as
//! a file, what they print is the message from then on, and how they end is
//! what they say about it (smtp-receiving.md §5.3).
//!
//! [`spool`] makes a message such a file, [`pass`] runs a program on it,
//! [`SpamFilter`] is what the settings say about the one that judges.

mod log;
mod spam;

pub use log::{FifoError, FilterLog};
pub use spam::{Judgement, SpamFilter};

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use os::child::{Ended, Setup};
use os::signal::{Interest, Signal, Signals};
use run::Settings;

/// How long a filter may take.
pub const FILTER_TIME_MAX: Duration = Duration::from_secs(300);
/// As much as is kept of what a filter says on descriptor 2.
pub const SAID_BYTES_MAX: usize = 1023;
/// How long it takes at most until the end of a program is noticed.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Where temporary files go without `TMPDIR`.
const TEMPORARY_DIRECTORY: &str = "/tmp";
/// Piece in which a message is copied.
const COPY_BYTES: usize = 64 * 1024;

/// A message could not be passed through a program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no room for a copy.
    #[error("cannot write a temporary file; see TMPDIR: {0}")]
    Temporary(#[source] io::Error),
    /// The message cannot be read.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// A command is none.
    #[error("{command}: {reason}")]
    Words {
        /// The command, printable.
        command: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The program does not start.
    #[error("cannot run {program}: {source}")]
    Run {
        /// Its name.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It had to be killed.
    #[error("{program} took longer than {FILTER_TIME_MAX:?}")]
    TooLong {
        /// Its name.
        program: String,
    },
    /// A setting cannot be read.
    #[error(transparent)]
    Setting(#[from] run::SettingError),
}

impl Error {
    /// The exit code of qmail-queue(8) for a program in front of the queue.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Temporary(_) => 68,
            Self::Read(_) => 54,
            Self::Words { .. } => 87,
            Self::Run { .. } => 75,
            Self::TooLong { .. } => 76,
            Self::Setting(_) => 55,
        }
    }
}

/// What became of a message in a program.
#[derive(Debug)]
pub struct Passed {
    /// How the program ended.
    pub ended: Ended,
    /// What it printed, at its start.
    pub output: File,
    /// The start of what it said on descriptor 2; empty when that is ours.
    pub said: Vec<u8>,
}

impl Passed {
    /// The message from now on; a program that prints nothing only judges.
    pub fn message(self, before: File) -> Result<File, Error> {
        let printed = self.output.metadata().map_err(Error::Temporary)?.len();
        Ok(match (self.ended, printed) {
            (Ended::Signal(_), _) | (_, 0) => before,
            _ => self.output,
        })
    }
}

/// Where the words of a program go that are meant for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// Where ours go.
    Inherit,
    /// Into [`Passed::said`].
    Keep,
}

/// `TMPDIR`, or what stands for it.
pub fn temporary_directory() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|path| !path.is_empty());
    named.map_or_else(|| TEMPORARY_DIRECTORY.into(), PathBuf::from)
}

/// A file without a name that nobody else can open.
pub fn temporary_file() -> Result<File, Error> {
    tempfile::tempfile_in(temporary_directory()).map_err(Error::Temporary)
}

/// What is left of `input` in a file that can be read again, from its start.
pub fn spool(mut input: impl Read) -> Result<File, Error> {
    let mut file = temporary_file()?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => file
                .write_all(&buffer[..length])
                .map_err(Error::Temporary)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Read(error)),
        }
    }
    file.rewind().map_err(Error::Temporary)?;
    Ok(file)
}

/// The command of a setting, as words; variables in it are those of the
/// settings.
pub fn words(command: &[u8], settings: &Settings) -> Result<Vec<OsString>, Error> {
    let variable = |name: &str| settings.variable(name).map(<[u8]>::to_vec);
    let words = text::words::split(command, variable).map_err(|error| Error::Words {
        command: text::log::printable(command, 200),
        reason: error.to_string(),
    })?;
    if words.is_empty() {
        return Err(Error::Words {
            command: "a command of the settings".to_owned(),
            reason: "it is empty".to_owned(),
        });
    }
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// Runs a program on a message. It is not told of the filters, so that what
/// it sends itself does not come by here again.
pub fn pass(mut command: Command, message: &File, said: Said) -> Result<Passed, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |source: io::Error| Error::Run {
        program: program.clone(),
        source,
    };
    let mut output = temporary_file()?;
    let mut words = match said {
        Said::Keep => Some(temporary_file()?),
        Said::Inherit => None,
    };
    let shared = |file: &File| file.try_clone().map_err(Error::Temporary);
    let mut input = shared(message)?;
    input.rewind().map_err(Error::Temporary)?;
    let mut descriptors = vec![(0, input.into()), (1, shared(&output)?.into())];
    if let Some(words) = &words {
        descriptors.push((2, shared(words)?.into()));
    }
    command.env_remove("SPAMFILTER").env_remove("FILTERARGS");
    let setup = Setup {
        descriptors,
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let ended = wait(command, FILTER_TIME_MAX)
        .map_err(cannot)?
        .ok_or(Error::TooLong { program })?;
    output.rewind().map_err(Error::Temporary)?;
    let mut kept = Vec::new();
    if let Some(words) = &mut words {
        words.rewind().map_err(Error::Temporary)?;
        words
            .take(SAID_BYTES_MAX as u64)
            .read_to_end(&mut kept)
            .map_err(Error::Temporary)?;
    }
    Ok(Passed {
        ended,
        output,
        said: kept,
    })
}

/// Starts a program and waits until it ends; `None` when it takes too long
/// and had to be killed.
pub fn wait(mut command: Command, time_max: Duration) -> io::Result<Option<Ended>> {
    let mut signals = Signals::collect(&[Signal::SIGCHLD])?;
    let mut child = command.spawn()?;
    let deadline = Instant::now() + time_max;
    while child.try_wait()?.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        let waits = [(signals.as_fd(), Interest::Read)];
        // The signal may have gone to another thread.
        os::signal::poll(&waits, Some(left.min(PAUSE_MAX)))?;
        while signals.take().is_some() {}
    }
    os::child::wait(child).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        command
    }

    fn text(mut file: File) -> String {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_a_program_prints_is_the_message() {
        let message = || spool(&b"a\nb\n"[..]).unwrap();
        let run = |line| {
            let before = message();
            let passed = pass(shell(line), &before, Said::Keep).unwrap();
            let said = String::from_utf8(passed.said.clone()).unwrap();
            (passed.ended, said, text(passed.message(before).unwrap()))
        };
        let expect =
            |code, said: &str, text: &str| (Ended::Code(code), said.to_owned(), text.to_owned());
        assert_eq!(run("tr a-z A-Z; exit 3"), expect(3, "", "A\nB\n"));
        assert_eq!(run("exit 1"), expect(1, "", "a\nb\n"));
        assert_eq!(run("echo why >&2; cat"), expect(0, "why\n", "a\nb\n"));
        let (ended, _, text) = run("echo half; kill -9 $$");
        assert_eq!((ended, &text[..]), (Ended::Signal(9), "a\nb\n"));
        let long = run("yes x | head -c 5000 >&2").1;
        assert_eq!(long.len(), SAID_BYTES_MAX);
    }

    #[test]
    fn a_program_that_does_not_read_wedges_nobody() {
        let message = spool(&vec![b'x'; 1 << 20][..]).unwrap();
        let passed = pass(shell("exit 0"), &message, Said::Inherit).unwrap();
        assert_eq!(passed.ended, Ended::Code(0));
    }

    #[test]
    fn errors_have_the_codes_of_the_queue() {
        let message = spool(&b""[..]).unwrap();
        let missing = pass(Command::new("/no/such"), &message, Said::Inherit);
        assert_eq!(missing.unwrap_err().exit_code(), 75);
        let settings = Settings::of_files(&run::Home::at("/nowhere"));
        for wrong in ["'open", "  "] {
            assert_eq!(
                words(wrong.as_bytes(), &settings).unwrap_err().exit_code(),
                87
            );
        }
        assert!(
            wait(shell("exec sleep 600"), Duration::from_millis(10))
                .unwrap()
                .is_none()
        );
    }
}
