//! Reading the trace log while it grows.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wire::trace::{EVENT_BYTES_MAX, Event};

use super::read::{Filter, StoryError, directory, parse_event};
use crate::Home;

/// A line without end is dropped when it is longer.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 64;

/// Reads what is added to the log; ask again and again.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
    filter: Filter,
}

impl Follower {
    /// Starts with what is in the current file already.
    pub fn start(home: &Home, filter: Filter) -> Result<Self, StoryError> {
        let path = directory(home).join("current");
        let file = open(&path)?;
        Ok(Self {
            path,
            file,
            line: Vec::new(),
            filter,
        })
    }

    /// The fitting events since the last call.
    pub fn poll(&mut self) -> Result<Vec<Event>, StoryError> {
        let mut events = Vec::new();
        loop {
            // Asked before reading: a file that was replaced by then gets no
            // more lines after what we read now.
            let replaced = self.is_replaced();
            self.read(&mut events)?;
            if !replaced {
                return Ok(events);
            }
            self.file = open(&self.path)?;
            self.line.clear();
        }
    }

    fn is_replaced(&self) -> bool {
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(ours), Ok(current)) => (ours.dev(), ours.ino()) != (current.dev(), current.ino()),
            // Between two files; it will be there soon.
            _ => false,
        }
    }

    fn read(&mut self, events: &mut Vec<Event>) -> Result<(), StoryError> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let path = self.path.clone();
                    return Err(StoryError::Unreadable { path, source });
                }
            };
            for piece in buffer[..length].split_inclusive(|&b| b == b'\n') {
                self.line.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    events
                        .extend(parse_event(&self.line).filter(|event| self.filter.matches(event)));
                    self.line.clear();
                } else if LINE_BYTES_MAX < self.line.len() {
                    self.line.clear();
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<File, StoryError> {
    os::beneath::read(path).map_err(|source| StoryError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
