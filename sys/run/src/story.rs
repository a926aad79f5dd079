//! The stories of messages, read back from the log of the trace collector.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use serde::Serialize;
use wire::trace::{EVENT_BYTES_MAX, Event, Kind, TraceId};

use crate::Home;

/// Name of the collector's log directory.
const LOG: &str = "trace";
/// Most stories one question is answered with; the newest are kept.
const STORIES_MAX: usize = 100;
/// How often a story may lead to another one (forward, bounce) and still be
/// told with the first.
const GENERATIONS_MAX: usize = 8;

/// Why a log of the collector cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the trace log {path}: {source}; only its owner and root may")]
pub struct StoryError {
    /// Which file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Everything known of one message, in order of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Which message.
    pub trace: TraceId,
    /// What happened to it.
    pub events: Vec<Event>,
}

/// The stories of the messages known by a trace id, a number in the queue, a
/// Message-ID or an address, oldest first; each is followed by those of the
/// messages it led to.
pub fn find(home: &Home, wanted: &str) -> Result<Vec<Story>, StoryError> {
    let wanted = wanted.trim().trim_start_matches('<').trim_end_matches('>');
    let mut ids = BTreeSet::new();
    visit(home, &mut |event| {
        if is_about(event, wanted) {
            ids.insert(event.trace);
            if STORIES_MAX < ids.len() {
                ids.pop_first();
            }
        }
    })?;
    let mut seen = BTreeSet::new();
    let mut events: BTreeMap<TraceId, Vec<Event>> = BTreeMap::new();
    for _ in 0..GENERATIONS_MAX {
        let new: BTreeSet<TraceId> = ids.difference(&seen).copied().collect();
        if new.is_empty() {
            break;
        }
        visit(home, &mut |event| {
            if new.contains(&event.trace) {
                ids.extend(event.other);
                events.entry(event.trace).or_default().push(event.clone());
            }
        })?;
        seen.extend(new);
    }
    Ok(events
        .into_iter()
        .map(|(trace, events)| Story::new(trace, events))
        .collect())
}

/// The events of one message so far.
pub fn of(home: &Home, trace: TraceId) -> Result<Story, StoryError> {
    let mut events = Vec::new();
    visit(home, &mut |event| {
        if event.trace == trace {
            events.push(event.clone());
        }
    })?;
    Ok(Story::new(trace, events))
}

impl Story {
    fn new(trace: TraceId, mut events: Vec<Event>) -> Self {
        events.sort_by(|a, b| a.time.total_cmp(&b.time));
        Self { trace, events }
    }

    /// Says whether nothing more will happen to the message.
    pub fn has_ended(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event.kind, Kind::Ended))
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "message {}", self.trace)?;
        self.events
            .iter()
            .try_for_each(|event| writeln!(f, "  {}", Line(event)))
    }
}

/// One event as a line for people.
pub struct Line<'a>(pub &'a Event);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        let seconds = event.time.floor();
        let date = tai::header_date(seconds as i64);
        let date = date.strip_suffix(" -0000").unwrap_or(&date);
        let milliseconds = ((event.time - seconds) * 1e3) as u32;
        write!(
            f,
            "{date}.{milliseconds:03} {:<14} {}",
            event.program,
            word(event.kind)
        )?;
        if let Some(message) = event.message {
            write!(f, " as message {message}")?;
        }
        if let Some(queue) = &event.queue {
            write!(f, " in {queue}")?;
        }
        if let Some(sender) = &event.sender {
            write!(f, " from <{sender}>")?;
        }
        if !event.recipients.is_empty() {
            write!(f, " to <{}>", event.recipients.join(">, <"))?;
        }
        if let Some(channel) = &event.channel {
            write!(f, " ({channel})")?;
        }
        if let Some(place) = &event.place {
            write!(f, " [{place}]")?;
        }
        if let Some(bytes) = event.bytes {
            write!(f, ", {bytes} bytes")?;
        }
        if let Some(id) = &event.message_id {
            write!(f, ", Message-ID {id}")?;
        }
        if let Some(next) = event.next {
            write!(f, ", next try {}", tai::header_date(next))?;
        }
        if let Some(other) = event.other {
            write!(f, ", see message {other}")?;
        }
        match &event.text {
            Some(text) => write!(f, ": {}", text.trim_end()),
            None => Ok(()),
        }
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Received => "received",
        Kind::Refused => "refused",
        Kind::Queued => "queued",
        Kind::Preprocessed => "preprocessed",
        Kind::Started => "delivery started",
        Kind::Delivered => "delivered",
        Kind::Deferred => "deferred",
        Kind::Failed => "failed",
        Kind::Bounced => "bounced",
        Kind::Forwarded => "forwarded",
        Kind::Ended => "ended",
    }
}

fn is_about(event: &Event, wanted: &str) -> bool {
    let same = |text: &String| text.eq_ignore_ascii_case(wanted);
    event.trace.to_string() == wanted
        || event
            .message
            .is_some_and(|message| message.to_string() == wanted)
        || event.message_id.as_ref().is_some_and(same)
        || event.sender.as_ref().is_some_and(same)
        || event.recipients.iter().any(same)
}

/// Calls `each` with every event of the log, oldest file first.
fn visit(home: &Home, each: &mut dyn FnMut(&Event)) -> Result<(), StoryError> {
    let directory = home.log().join(LOG);
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| StoryError { path, source }
    };
    let entries = std::fs::read_dir(&directory).map_err(failed(&directory))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with('@') || name == "current" || name == "previous"
        })
        .collect();
    // `@...` sorts before `current`, and by time among themselves.
    files.sort();
    for path in files {
        match File::open(&path) {
            Ok(file) => read(BufReader::new(file), each).map_err(failed(&path))?,
            // Rotated away since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    Ok(())
}

fn read(mut log: impl BufRead, each: &mut dyn FnMut(&Event)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut log, 2 * EVENT_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // After the time label of multilog.
        let json = line.iter().position(|&b| b == b'{').map(|at| &line[at..]);
        if let Some(event) = json.and_then(|json| serde_json::from_slice(json).ok()) {
            each(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[Event]) -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir_all(home.log().join(LOG)).unwrap();
        let lines: String = events
            .iter()
            .map(|event| {
                format!(
                    "@4000000038c3eeb027f41c7c {}\n",
                    serde_json::to_string(event).unwrap()
                )
            })
            .collect();
        std::fs::write(home.log().join(LOG).join("current"), lines + "half a li").unwrap();
        (directory, home)
    }

    fn event(trace: TraceId, time: f64, kind: Kind) -> Event {
        Event::new(trace, time, "test", 1, kind)
    }

    #[test]
    fn a_message_is_found_by_each_of_its_names_with_what_it_led_to() {
        let (first, bounce) = (TraceId::new(1, 1), TraceId::new(2, 2));
        let mut queued = event(first, 1.0, Kind::Queued);
        queued.message = Some(77);
        queued.message_id = Some("id@example.org".to_owned());
        queued.recipients = vec!["Ann@example.org".to_owned()];
        let mut bounced = event(first, 2.0, Kind::Bounced);
        bounced.other = Some(bounce);
        let (_directory, home) = log(&[bounced, queued, event(bounce, 3.0, Kind::Ended)]);
        for name in [
            &first.to_string(),
            "77",
            "<id@example.org>",
            "ann@EXAMPLE.org",
        ] {
            let stories = find(&home, name).unwrap();
            assert_eq!(stories.len(), 2, "{name}");
            assert_eq!(stories[0].events[0].kind, Kind::Queued, "in order of time");
            assert!(stories[1].has_ended());
        }
        assert!(find(&home, "nobody@example.org").unwrap().is_empty());
    }
}
