//! What is in a queue, read from its files while others work on it.
//!
//! A message that is still in `todo` is read from its envelope; what the
//! other files say of it is worthless then. A message may leave while it is
//! read: that is `None`, and no error.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wire::trace::TraceId;

use crate::{Info, Layout, RecordReader};

/// Where a recipient is listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// In `local`.
    Local,
    /// In `remote`.
    Remote,
    /// In the envelope, as it came.
    Todo,
}

/// A recipient of a message in the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredRecipient {
    /// Where.
    pub list: List,
    /// The address.
    pub address: Vec<u8>,
    /// Delivered or failed.
    pub is_done: bool,
}

/// A message in the queue.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// Its number.
    pub id: u64,
    /// When it was queued.
    pub birth: i64,
    /// Size of its text.
    pub bytes: u64,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Its trace, if it has one.
    pub trace: Option<TraceId>,
    /// It is not in `todo` any more.
    pub is_preprocessed: bool,
    /// Something failed that its sender is to be told.
    pub is_bouncing: bool,
    /// mtimes of the files of local and remote recipients, those that exist:
    /// when to try next, as far as qmail-send has written it down.
    pub due: [Option<i64>; 2],
    /// Its recipients.
    pub recipients: Vec<StoredRecipient>,
}

/// The numbers of the files in a directory of a queue, in order.
pub fn numbers(layout: &Layout, directory: &str) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for path in layout.directories(directory) {
        let named = |error: io::Error| {
            let text = format!("cannot read {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        };
        for entry in std::fs::read_dir(&path).map_err(named)? {
            let name = entry.map_err(named)?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
    }
    Ok(numbers)
}

/// All messages: preprocessed or not.
pub fn stored_numbers(layout: &Layout) -> io::Result<BTreeSet<u64>> {
    // In this order: a message that goes from the one to the other meanwhile
    // is met at least once.
    let mut found = numbers(layout, "todo")?;
    found.append(&mut numbers(layout, "info")?);
    Ok(found)
}

/// Reads one message.
pub fn read_stored(layout: &Layout, id: u64) -> io::Result<Option<Stored>> {
    let found = match read_envelope(layout, id) {
        Ok(None) => read_preprocessed(layout, id),
        found => found,
    };
    match found {
        // It left the queue, or its number of files changed, under our eyes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found,
    }
}

fn read_envelope(layout: &Layout, id: u64) -> io::Result<Option<Stored>> {
    let mut reader = match RecordReader::open(&layout.todo(id)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        reader => reader?,
    };
    let mut stored = Stored {
        id,
        birth: reader.file().metadata()?.mtime(),
        bytes: std::fs::metadata(layout.mess(id))?.len(),
        ..Stored::default()
    };
    while let Some(record) = reader.next_record()? {
        match record.kind {
            b'F' => stored.sender = record.data,
            b'h' => stored.trace = TraceId::from_headers(&record.data),
            b'T' => stored.recipients.push(StoredRecipient {
                list: List::Todo,
                address: record.data,
                is_done: false,
            }),
            _ => {}
        }
    }
    Ok(Some(stored))
}

fn read_preprocessed(layout: &Layout, id: u64) -> io::Result<Option<Stored>> {
    let info = Info::read(&layout.info(id))?;
    let mut stored = Stored {
        id,
        birth: info.birth,
        bytes: std::fs::metadata(layout.mess(id))?.len(),
        trace: TraceId::from_headers(&info.env_headers),
        sender: info.sender,
        is_preprocessed: true,
        is_bouncing: layout.bounce(id).exists(),
        ..Stored::default()
    };
    let lists = [
        (List::Local, layout.local(id)),
        (List::Remote, layout.remote(id)),
    ];
    for (at, (list, path)) in lists.into_iter().enumerate() {
        stored.due[at] = read_recipients(&path, list, &mut stored.recipients)?;
    }
    Ok(Some(stored))
}

fn read_recipients(
    path: &Path,
    list: List,
    recipients: &mut Vec<StoredRecipient>,
) -> io::Result<Option<i64>> {
    let mut reader = match RecordReader::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        reader => reader?,
    };
    while let Some(record) = reader.next_record()? {
        if let b'T' | b'D' = record.kind {
            recipients.push(StoredRecipient {
                list,
                address: record.data,
                is_done: record.kind == b'D',
            });
        }
    }
    Ok(Some(reader.file().metadata()?.mtime()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_counts_more_than_what_was_made_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        crate::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        let trace = TraceId::new(1, 2);
        for id in [7, 8] {
            std::fs::write(layout.mess(id), "12345").unwrap();
            let info = format!("Fann@x\0h{}\0", trace.to_header());
            std::fs::write(layout.info(id), info).unwrap();
            std::fs::write(layout.local(id), "Da@x\0Tb@x\0").unwrap();
        }
        std::fs::write(layout.todo(8), "u1\0p2\0F\0Tc@x\0").unwrap();
        std::fs::write(layout.todo(9), "u1\0p2\0F\0Tc@x\0").unwrap();
        assert_eq!(stored_numbers(&layout).unwrap(), [7, 8, 9].into());
        let seven = read_stored(&layout, 7).unwrap().unwrap();
        assert_eq!((seven.trace, seven.bytes), (Some(trace), 5));
        let done: Vec<bool> = seven.recipients.iter().map(|r| r.is_done).collect();
        assert_eq!(done, [true, false]);
        assert!(seven.due[0].is_some() && seven.due[1].is_none());
        let eight = read_stored(&layout, 8).unwrap().unwrap();
        assert!(!eight.is_preprocessed && eight.sender.is_empty());
        assert_eq!(eight.recipients[0].list, List::Todo);
        assert_eq!(read_stored(&layout, 9).unwrap(), None, "it has no text");
        assert_eq!(read_stored(&layout, 10).unwrap(), None);
    }
}
