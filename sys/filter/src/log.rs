//! `LOGFILTER`: what a spam filter says about a message goes into the log
//! (smtp-receiving.md §5.9).
//!
//! The filter finds an open file on a descriptor of a fixed number; its first
//! line is what is logged. A FIFO may get it, too.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use run::Settings;
use settings::front_ends::{LOGFD, LOGFILTER, SPAMFILTER};

use crate::{Error, temporary_file};

/// Longest line that is logged.
const LINE_BYTES_MAX: usize = 400;
/// A write to a FIFO that is not longer than this is not mixed with others
/// (PIPE_BUF).
const FIFO_BYTES_MAX: usize = 4096;
/// First number that the descriptor cannot have.
const NUMBER_END: i64 = 1024;

/// The file for one message.
#[derive(Debug)]
pub struct FilterLog {
    number: RawFd,
    file: File,
    fifo: Option<PathBuf>,
}

/// The line cannot be written to the FIFO.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {path} of LOGFILTER: {source}")]
pub struct FifoError {
    path: PathBuf,
    source: io::Error,
}

impl FilterLog {
    /// `None` unless `LOGFILTER` is set.
    pub fn begin(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(value) = settings.variable(LOGFILTER.variable) else {
            return Ok(None);
        };
        let older = settings.variable("SPAMFD").and_then(text::control::integer);
        let number = match (settings.variable(LOGFD.variable), older) {
            (None, Some(number)) => number,
            _ => settings.integer(&LOGFD)?,
        };
        let judged = settings.variable(SPAMFILTER.variable).is_some();
        let fifo = (value.starts_with(b"/") && judged).then(|| OsStr::from_bytes(value).into());
        Ok(Some(Self {
            // 0, 1 and 2 are the message, the envelope and what is said.
            number: match (3..NUMBER_END).contains(&number) {
                true => number as RawFd,
                false => 255,
            },
            file: temporary_file()?,
            fifo,
        }))
    }

    /// The descriptor, for whoever the filter is started by.
    pub fn descriptor(&self) -> Result<(RawFd, OwnedFd), Error> {
        let file = self.file.try_clone().map_err(Error::Temporary)?;
        Ok((self.number, file.into()))
    }

    /// The first line that was written, printable; empty when there is none.
    pub fn line(&self) -> String {
        let mut bytes = Vec::new();
        let read = self.file.try_clone().and_then(|mut file| {
            file.rewind()?;
            file.take(LINE_BYTES_MAX as u64).read_to_end(&mut bytes)
        });
        let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        match read {
            Ok(_) => text::log::printable(first.trim_ascii(), LINE_BYTES_MAX),
            Err(_) => String::new(),
        }
    }

    /// Says whether [`FilterLog::tell`] would fail, before it is too late to
    /// refuse the message.
    pub fn check(&self) -> Result<(), FifoError> {
        let Some(path) = &self.fifo else {
            return Ok(());
        };
        match os::file::open_fifo_write(path) {
            Err(error) if error.raw_os_error() != Some(NO_READER) => Err(FifoError {
                path: path.clone(),
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Writes a line to the FIFO, if there is one that somebody reads. Nobody
    /// waits for a reader that is slow: the line is lost then.
    pub fn tell(&self, line: &str) -> Result<(), FifoError> {
        let Some(path) = &self.fifo else {
            return Ok(());
        };
        let failed = |source| FifoError {
            path: path.clone(),
            source,
        };
        let mut fifo = match os::file::open_fifo_write(path) {
            Err(error) if error.raw_os_error() == Some(NO_READER) => return Ok(()),
            fifo => fifo.map_err(failed)?,
        };
        let mut line = text::log::printable(line.as_bytes(), FIFO_BYTES_MAX - 1);
        line.truncate(FIFO_BYTES_MAX - 1);
        match fifo.write(format!("{line}\n").as_bytes()) {
            Err(error)
                if error.kind() != io::ErrorKind::WouldBlock
                    && error.kind() != io::ErrorKind::BrokenPipe =>
            {
                Err(failed(error))
            }
            _ => Ok(()),
        }
    }
}

/// ENXIO: nobody has the FIFO open for reading.
const NO_READER: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use run::Home;

    fn log(variables: &[(&str, &str)]) -> Option<FilterLog> {
        let settings = Settings::of_files(&Home::at("/nowhere"));
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, Some(value.as_bytes())));
        FilterLog::begin(&settings.overlaid(variables)).unwrap()
    }

    #[test]
    fn the_first_line_is_what_counts() {
        assert!(log(&[]).is_none());
        let log = log(&[("LOGFILTER", "1")]).unwrap();
        let (number, file) = log.descriptor().unwrap();
        assert_eq!((number, &log.line()[..]), (255, ""));
        File::from(file)
            .write_all(b"X-Bogosity: Ham\x1b\nmore\n")
            .unwrap();
        assert_eq!(log.line(), "X-Bogosity: Ham?");
        log.tell("nobody reads this").unwrap();
    }

    #[test]
    fn older_and_newer_names_say_the_number() {
        let number = |variables: &[(&str, &str)]| {
            let variables = [&[("LOGFILTER", "1")], variables].concat();
            log(&variables).unwrap().number
        };
        assert_eq!(number(&[("SPAMFD", "9")]), 9);
        assert_eq!(number(&[("SPAMFD", "9"), ("LOGFD", "8")]), 8);
        assert_eq!(number(&[("LOGFD", "1")]), 255);
    }

    #[test]
    fn a_fifo_is_told_when_somebody_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let name = path.to_str().unwrap();
        let variables = [("LOGFILTER", name), ("SPAMFILTER", "x")];
        let log = log(&variables).unwrap();
        assert!(log.tell("no such file").is_err());
        os::file::make_fifo(&path, 0o600).unwrap();
        log.tell("nobody reads").unwrap();
        let mut reader = os::file::open_fifo_read(&path).unwrap();
        log.tell("one\nline").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one?line\n");
    }
}
