//! Reading the trace log.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use wire::trace::{EVENT_BYTES_MAX, Event, TraceId};

use crate::Home;

/// Longest line of the log: an event and its label.
const LINE_BYTES_MAX: u64 = EVENT_BYTES_MAX as u64 + 64;

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The log is not ours to read, or not there.
    #[error("cannot read the trace log {path}")]
    Unreadable {
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl crate::Fatal for StoryError {}

/// Which events are wanted; everything that is set must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this message.
    pub trace: Option<TraceId>,
    /// Of messages with this Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Of messages from or to this address, in any case.
    pub address: Option<String>,
    /// Not before this Unix time.
    pub since: Option<f64>,
}

impl Filter {
    /// Only the events of one message.
    pub fn of(trace: TraceId) -> Self {
        Self {
            trace: Some(trace),
            ..Self::default()
        }
    }

    /// Says whether an event fits. Only the first events of a message name
    /// its Message-ID: use it to find the trace, then the trace to find all.
    pub fn matches(&self, event: &Event) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        self.trace.is_none_or(|trace| event.trace == trace)
            && self.since.is_none_or(|since| since <= event.time)
            && self
                .message_id
                .as_ref()
                .is_none_or(|id| event.message_id.as_ref() == Some(id))
            && self.address.as_ref().is_none_or(|wanted| {
                let mut everybody = event.sender.iter().chain(&event.recipients);
                everybody.any(|address| same(address, wanted))
            })
    }
}

/// Reads the fitting events of the whole log, in the order they were written.
pub fn read_events(home: &Home, filter: &Filter) -> Result<Vec<Event>, StoryError> {
    let mut events = Vec::new();
    visit(home, &mut |event| {
        if filter.matches(&event) {
            events.push(event);
        }
    })?;
    Ok(events)
}

/// Calls `take` with every event of the log, in the order they were written.
pub fn visit(home: &Home, take: &mut dyn FnMut(Event)) -> Result<(), StoryError> {
    let directory = directory(home);
    let files = log_files(&directory).map_err(|source| StoryError::Unreadable {
        path: directory,
        source,
    })?;
    for path in files {
        match os::beneath::read(&path) {
            Ok(file) => {
                visit_file(file, take).map_err(|source| StoryError::Unreadable { path, source })?
            }
            // multilog may just have removed an old one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoryError::Unreadable { path, source }),
        }
    }
    Ok(())
}

/// Where the collector's log is.
pub(super) fn directory(home: &Home) -> PathBuf {
    home.log().join("trace")
}

fn visit_file(file: File, take: &mut dyn FnMut(Event)) -> io::Result<()> {
    let (mut input, mut line) = (BufReader::new(file), Vec::new());
    while read_line(&mut input, &mut line)? {
        if let Some(event) = parse_event(&line) {
            take(event);
        }
    }
    Ok(())
}

/// The files multilog wrote into a directory: the finished ones by age, then
/// the current one.
pub fn log_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('@') && (name.ends_with(".s") || name.ends_with(".u")) {
            found.push(path);
        }
    }
    // Labels have one length and sort by time.
    found.sort();
    found.push(directory.join("current"));
    Ok(found)
}

/// Reads the next line of a log, or as much of it as an event can have;
/// `false` at the end.
pub fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', line)?
        != 0)
}

/// The event of a line; `None` for lines that hold none.
pub fn parse_event(line: &[u8]) -> Option<Event> {
    let start = line.iter().position(|&b| b == b'{')?;
    serde_json::from_slice(&line[start..]).ok()
}
