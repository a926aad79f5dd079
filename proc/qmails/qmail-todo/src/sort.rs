//! One message: its envelope in `todo` becomes `info`, `local` and `remote`
//! (queue-and-delivery.md §4.2).
//!
//! Until `todo/N` is removed these files are worthless; what an earlier try
//! left is deleted first.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use address::{Route, Routing};
use queue::{Info, Layout, RecordReader};
use wire::todo::Channels;

/// Recipients kept for the trace event.
const RECIPIENTS_TOLD_MAX: usize = 50;

/// A message that is sorted but not synced.
#[derive(Debug)]
pub struct Sorted {
    /// Its number.
    pub id: u64,
    /// Where it has recipients.
    pub channels: Channels,
    /// What `info` says.
    pub info: Info,
    /// User that queued it.
    pub uid: u64,
    /// Process that queued it.
    pub qp: u64,
    /// Size of its text.
    pub bytes: u64,
    /// Its first recipients, rewritten.
    pub recipients: Vec<Vec<u8>>,
    /// The files written, to be synced.
    pub files: Vec<File>,
    /// The directories they are in.
    pub directories: Vec<PathBuf>,
}

/// Why a message cannot be sorted now.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct Trouble {
    /// In the words of the log.
    pub what: String,
    source: io::Error,
}

fn trouble<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Trouble + use<'a> {
    move |source| Trouble {
        what: format!("{verb} {}", path.display()),
        source,
    }
}

/// Sorts one message. On an error nothing it wrote is left.
pub fn sort(layout: &Layout, routing: &Routing, id: u64) -> Result<Sorted, Trouble> {
    discard(layout, id)?;
    let result = write(layout, routing, id);
    if result.is_err() {
        // The next try deletes what stays behind.
        let _ = discard(layout, id);
    }
    result
}

/// Deletes what a try wrote.
pub fn discard(layout: &Layout, id: u64) -> Result<(), Trouble> {
    for path in [layout.info(id), layout.local(id), layout.remote(id)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(trouble("unable to unlink", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn write(layout: &Layout, routing: &Routing, id: u64) -> Result<Sorted, Trouble> {
    let (mess, todo) = (layout.mess(id), layout.todo(id));
    let bytes = std::fs::metadata(&mess)
        .map_err(trouble("unable to stat", &mess))?
        .len();
    let mut envelope = RecordReader::open(&todo).map_err(trouble("unable to open", &todo))?;
    let mut sorted = Sorted {
        id,
        channels: Channels::Neither,
        info: Info::default(),
        uid: 0,
        qp: 0,
        bytes,
        recipients: Vec::new(),
        files: Vec::new(),
        directories: Vec::new(),
    };
    let mut local = Recipients::new(layout.local(id));
    let mut remote = Recipients::new(layout.remote(id));
    let mut has_sender = false;
    let malformed = |text: String| {
        let error = io::Error::new(io::ErrorKind::InvalidData, text);
        trouble("trouble reading", &todo)(error)
    };
    while let Some(record) = envelope
        .next_record()
        .map_err(trouble("trouble reading", &todo))?
    {
        match record.kind {
            b'u' => sorted.uid = number(&record.data),
            b'p' => sorted.qp = number(&record.data),
            b'F' => {
                sorted.info.sender = record.data;
                has_sender = true;
            }
            b'e' => sorted.info.extra_headers = record.data,
            b'h' => sorted.info.env_headers = record.data,
            b'T' => {
                let address = match routing.route(&record.data) {
                    Route::Local(address) => local.add(address)?,
                    Route::Remote(address) => remote.add(address)?,
                };
                if sorted.recipients.len() < RECIPIENTS_TOLD_MAX {
                    sorted.recipients.push(address);
                }
            }
            kind => {
                return Err(malformed(format!(
                    "record of type {kind} at {}",
                    record.offset
                )));
            }
        }
    }
    if !has_sender {
        return Err(malformed("no sender".to_owned()));
    }
    sorted.channels = match (local.is_used(), remote.is_used()) {
        (true, true) => Channels::Both,
        (true, false) => Channels::Local,
        (false, true) => Channels::Remote,
        (false, false) => Channels::Neither,
    };
    let mut info = Recipients::new(layout.info(id));
    info.write(&sorted.info.to_bytes())?;
    for file in [info, local, remote] {
        file.finish(&mut sorted)?;
    }
    Ok(sorted)
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// A file of the message, created when something is written to it.
struct Recipients {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Recipients {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn add(&mut self, address: Vec<u8>) -> Result<Vec<u8>, Trouble> {
        let mut record = Vec::with_capacity(address.len() + 2);
        text::records::append(&mut record, b'T', &address);
        self.write(&record)?;
        Ok(address)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let created = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&self.path)
                    .map_err(trouble("unable to create", &self.path))?;
                self.file.insert(BufWriter::new(created))
            }
        };
        file.write_all(bytes)
            .map_err(trouble("trouble writing to", &self.path))
    }

    fn is_used(&self) -> bool {
        self.file.is_some()
    }

    fn finish(self, sorted: &mut Sorted) -> Result<(), Trouble> {
        let Some(file) = self.file else { return Ok(()) };
        let file = file
            .into_inner()
            .map_err(|error| trouble("trouble writing to", &self.path)(error.into_error()))?;
        sorted.files.push(file);
        sorted
            .directories
            .extend(self.path.parent().map(Path::to_owned));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        (directory, Layout::detect(root).unwrap())
    }

    fn routing() -> Routing {
        let lines = |text: &[u8]| vec![text.to_vec()];
        Routing::new(b"h", &[], &lines(b"h"), &lines(b"v:joe"))
    }

    #[test]
    fn an_envelope_becomes_three_files() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(24), b"text").unwrap();
        let envelope = b"u7\0p8\0Fann@x\0Ta@v\0Tb@y\0Tc@h\0eX-A: 1\n\0hX-B: 2\n\0";
        std::fs::write(layout.todo(24), envelope).unwrap();
        let sorted = sort(&layout, &routing(), 24).unwrap();
        assert_eq!(sorted.channels, Channels::Both);
        assert_eq!((sorted.uid, sorted.qp, sorted.bytes), (7, 8, 4));
        let read = |path| std::fs::read(path).unwrap();
        assert_eq!(read(layout.local(24)), b"Tjoe-a@v\0Tc@h\0");
        assert_eq!(read(layout.remote(24)), b"Tb@y\0");
        assert_eq!(read(layout.info(24)), b"Fann@x\0eX-A: 1\n\0hX-B: 2\n\0");
        // A second try does not trip over the first.
        assert_eq!(sorted.files.len(), 3);
        assert!(sort(&layout, &routing(), 24).is_ok());
    }

    #[test]
    fn what_is_not_an_envelope_leaves_nothing_behind() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(1), b"text").unwrap();
        for bad in [&b"Ta@h\0"[..], b"Fa\0Ta@h", b"Fa\0Ta@h\0Zx\0", b""] {
            std::fs::write(layout.todo(1), bad).unwrap();
            assert!(sort(&layout, &routing(), 1).is_err(), "{bad:?}");
            assert!(!layout.info(1).exists() && !layout.local(1).exists());
        }
    }

    #[test]
    fn an_envelope_without_its_text_is_trouble() {
        let (_directory, layout) = queue();
        std::fs::write(layout.todo(1), b"Fa\0Tb@h\0").unwrap();
        assert!(sort(&layout, &routing(), 1).is_err());
    }
}
