//! One message: its envelope in `todo` becomes `info`, `local` and `remote`
//! (queue-and-delivery.md §4.2).
//!
//! Until `todo/N` is removed these files are worthless; what an earlier try
//! left is deleted first.
//!
//! With a single recipient there is nothing to keep count of, so such a
//! message is not written at all unless its first try fails ([`Single`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use address::{Route, Routing};
use queue::{Info, Layout, RecordReader};
use wire::todo::{Channels, PutBack, Single};

use crate::singles::Room;

/// Recipients kept for the trace event.
const RECIPIENTS_TOLD_MAX: usize = 50;
/// Longest envelope that is kept in memory instead of files.
const SINGLE_BYTES_MAX: u64 = 4096;

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
    /// Instead of files: the message in full.
    pub single: Option<Single>,
    /// It was told, and tried.
    pub put_back: Option<PutBack>,
}

/// How a message is to be sorted.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// An earlier try may have left files.
    pub is_again: bool,
    /// With one recipient it may be told instead of written.
    pub room: Room,
    /// It was told, and tried.
    pub put_back: Option<PutBack>,
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

/// Sorts one message; `None` when it is not in `todo` any more. On an error
/// nothing it wrote is left.
pub fn sort(
    layout: &Layout,
    routing: &Routing,
    id: u64,
    how: How,
) -> Result<Option<Sorted>, Trouble> {
    if how.is_again {
        discard(layout, id)?;
        if how.put_back.is_none() {
            // Its recipient failed, but that was not written down in time:
            // it will be tried, and fail, again.
            remove(&layout.bounce(id))?;
        }
    }
    let result = write(layout, routing, id, how);
    if result.is_err() {
        // The next try deletes what stays behind.
        let _ = discard(layout, id);
    }
    result
}

/// Deletes what a try wrote.
pub fn discard(layout: &Layout, id: u64) -> Result<(), Trouble> {
    let paths = [layout.info(id), layout.local(id), layout.remote(id)];
    paths.iter().try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), Trouble> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(trouble("unable to unlink", path)(error))
        }
        _ => Ok(()),
    }
}

fn write(layout: &Layout, routing: &Routing, id: u64, how: How) -> Result<Option<Sorted>, Trouble> {
    let (mess, todo) = (layout.mess(id), layout.todo(id));
    let mut envelope = match RecordReader::open(&todo) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(trouble("unable to open", &todo))?,
    };
    let bytes = std::fs::metadata(&mess)
        .map_err(trouble("unable to stat", &mess))?
        .len();
    let queued = envelope
        .file()
        .metadata()
        .map_err(trouble("unable to stat", &todo))?;
    let mut sorted = Sorted {
        id,
        channels: Channels::Neither,
        info: Info {
            birth: queued.mtime(),
            ..Info::default()
        },
        uid: 0,
        qp: 0,
        bytes,
        recipients: Vec::new(),
        files: Vec::new(),
        directories: Vec::new(),
        single: None,
        put_back: how.put_back,
    };
    let mut lists = Lists {
        local: Recipients::new(layout.local(id)),
        remote: Recipients::new(layout.remote(id)),
        only: Only::None,
        room: match queued.len() {
            0..=SINGLE_BYTES_MAX => how.room,
            _ => Room::default(),
        },
    };
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
            b'T' if how.put_back.is_some_and(|put_back| put_back.is_done) => {}
            b'T' => {
                let route = routing.route(&record.data);
                if sorted.recipients.len() < RECIPIENTS_TOLD_MAX {
                    let (Route::Local(address) | Route::Remote(address)) = &route;
                    sorted.recipients.push(address.clone());
                }
                lists.add(route)?;
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
    let rewritten = |recipient: &[u8]| match routing.route(recipient) {
        Route::Local(address) | Route::Remote(address) => address,
    };
    if let Some(lines) = wire::dsn::rewrite_recipients(&sorted.info.env_headers, rewritten) {
        sorted.info.env_headers = lines;
    }
    if let Only::One(route) = lists.only {
        sorted.tell(route);
        return Ok(Some(sorted));
    }
    let Lists { local, remote, .. } = lists;
    sorted.channels = match (local.is_used(), remote.is_used()) {
        (true, true) => Channels::Both,
        (true, false) => Channels::Local,
        (false, true) => Channels::Remote,
        (false, false) => Channels::Neither,
    };
    let mut info = Recipients::new(layout.info(id));
    info.write(&sorted.info.to_bytes())?;
    let birth = how.put_back.map(|_| sorted.info.birth);
    let due = how.put_back.map(|put_back| put_back.due);
    for (file, time) in [(info, birth), (local, due), (remote, due)] {
        file.finish(time, &mut sorted)?;
    }
    Ok(Some(sorted))
}

impl Sorted {
    /// The message has this recipient alone, and no files.
    fn tell(&mut self, route: Route) {
        let (is_remote, recipient) = match route {
            Route::Local(address) => (false, address),
            Route::Remote(address) => (true, address),
        };
        self.channels = if is_remote {
            Channels::Remote
        } else {
            Channels::Local
        };
        self.single = Some(Single {
            id: self.id,
            is_remote,
            birth: self.info.birth,
            sender: self.info.sender.clone(),
            extra_headers: std::mem::take(&mut self.info.extra_headers),
            env_headers: self.info.env_headers.clone(),
            recipient,
        });
    }
}

/// The recipients met so far.
struct Lists {
    local: Recipients,
    remote: Recipients,
    only: Only,
    room: Room,
}

/// Is there a single recipient?
enum Only {
    /// None yet.
    None,
    /// This one.
    One(Route),
    /// There are more, or there is no room for one.
    No,
}

impl Lists {
    fn add(&mut self, route: Route) -> Result<(), Trouble> {
        let has_room = match route {
            Route::Local(_) => self.room.local,
            Route::Remote(_) => self.room.remote,
        };
        match std::mem::replace(&mut self.only, Only::No) {
            Only::None if has_room => self.only = Only::One(route),
            Only::One(first) => {
                self.write(&first)?;
                self.write(&route)?;
            }
            Only::None | Only::No => self.write(&route)?,
        }
        Ok(())
    }

    fn write(&mut self, route: &Route) -> Result<(), Trouble> {
        match route {
            Route::Local(address) => self.local.add(address),
            Route::Remote(address) => self.remote.add(address),
        }
    }
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

    fn add(&mut self, address: &[u8]) -> Result<(), Trouble> {
        let mut record = Vec::with_capacity(address.len() + 2);
        text::records::append(&mut record, b'T', address);
        self.write(&record)
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

    /// Complete; `time` is its mtime, now unless it is given.
    fn finish(self, time: Option<i64>, sorted: &mut Sorted) -> Result<(), Trouble> {
        let Some(file) = self.file else { return Ok(()) };
        let file = file
            .into_inner()
            .map_err(|error| trouble("trouble writing to", &self.path)(error.into_error()))?;
        if let Some(time) = time {
            os::file::set_mtime(&file, time).map_err(trouble("unable to utime", &self.path))?;
        }
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

    fn files(layout: &Layout, id: u64) -> Result<Option<Sorted>, Trouble> {
        let how = How {
            is_again: true,
            ..How::default()
        };
        sort(layout, &routing(), id, how)
    }

    #[test]
    fn an_envelope_becomes_three_files() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(24), b"text").unwrap();
        let envelope = b"u7\0p8\0Fann@x\0Ta@v\0Tb@y\0Tc@h\0eX-A: 1\n\0hX-B: 2\n\0";
        std::fs::write(layout.todo(24), envelope).unwrap();
        let sorted = files(&layout, 24).unwrap().unwrap();
        assert_eq!(sorted.channels, Channels::Both);
        assert_eq!((sorted.uid, sorted.qp, sorted.bytes), (7, 8, 4));
        let read = |path| std::fs::read(path).unwrap();
        assert_eq!(read(layout.local(24)), b"Tjoe-a@v\0Tc@h\0");
        assert_eq!(read(layout.remote(24)), b"Tb@y\0");
        assert_eq!(read(layout.info(24)), b"Fann@x\0eX-A: 1\n\0hX-B: 2\n\0");
        // A second try does not trip over the first.
        assert_eq!(sorted.files.len(), 3);
        assert!(files(&layout, 24).is_ok());
    }

    #[test]
    fn what_senders_want_to_know_follows_their_recipients() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(24), b"text").unwrap();
        let envelope = b"Fann@x\0Ta@v\0Tb\0\
            hX-Indimail-Dsn-To: a@v NOTIFY=NEVER\nX-Indimail-Dsn-To: b NOTIFY=DELAY\n\0";
        std::fs::write(layout.todo(24), envelope).unwrap();
        files(&layout, 24).unwrap();
        let info = Info::read(&layout.info(24)).unwrap();
        let expected = "X-Indimail-Dsn-To: joe-a@v NOTIFY=NEVER\n\
            X-Indimail-Dsn-To: b@h NOTIFY=DELAY\n";
        assert_eq!(String::from_utf8(info.env_headers).unwrap(), expected);
    }

    #[test]
    fn a_single_recipient_is_told_and_not_written() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(24), b"text").unwrap();
        std::fs::write(layout.todo(24), b"u7\0p8\0Fann@x\0Tb@y\0hX-B: 2\n\0").unwrap();
        let room = Room {
            local: false,
            remote: true,
        };
        let how = How {
            room,
            ..How::default()
        };
        let sorted = sort(&layout, &routing(), 24, how).unwrap().unwrap();
        let single = sorted.single.unwrap();
        assert_eq!((single.id, single.is_remote), (24, true));
        assert_eq!(single.recipient, b"b@y");
        assert_eq!(single.env_headers, b"X-B: 2\n");
        assert!(!layout.info(24).exists() && !layout.remote(24).exists());
        std::fs::write(layout.todo(24), b"Fann@x\0Tb@y\0Tc@h\0").unwrap();
        let sorted = sort(&layout, &routing(), 24, how).unwrap().unwrap();
        assert!(sorted.single.is_none());
        assert_eq!(sorted.channels, Channels::Both);
        discard(&layout, 24).unwrap();
        std::fs::write(layout.todo(24), b"Fann@x\0Tc@h\0").unwrap();
        let sorted = sort(&layout, &routing(), 24, how).unwrap().unwrap();
        assert!(sorted.single.is_none(), "there was no room for a local one");
    }

    #[test]
    fn a_message_put_back_keeps_its_birth_and_its_due_time() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(24), b"text").unwrap();
        std::fs::write(layout.todo(24), b"Fann@x\0Tb@y\0").unwrap();
        let todo = File::open(layout.todo(24)).unwrap();
        os::file::set_mtime(&todo, 1_000_000).unwrap();
        let put_back = |is_done| How {
            put_back: Some(PutBack {
                id: 24,
                due: 1_000_400,
                is_done,
            }),
            ..How::default()
        };
        let mtime = |path: PathBuf| std::fs::metadata(path).unwrap().mtime();
        let sorted = sort(&layout, &routing(), 24, put_back(false)).unwrap();
        assert_eq!(sorted.unwrap().channels, Channels::Remote);
        assert_eq!(mtime(layout.info(24)), 1_000_000);
        assert_eq!(mtime(layout.remote(24)), 1_000_400);
        discard(&layout, 24).unwrap();
        let sorted = sort(&layout, &routing(), 24, put_back(true)).unwrap();
        assert_eq!(sorted.unwrap().channels, Channels::Neither);
        assert!(layout.info(24).exists() && !layout.remote(24).exists());
    }

    #[test]
    fn an_envelope_that_went_away_meanwhile_is_no_trouble() {
        let (_directory, layout) = queue();
        assert!(files(&layout, 24).unwrap().is_none());
    }

    #[test]
    fn what_is_not_an_envelope_leaves_nothing_behind() {
        let (_directory, layout) = queue();
        std::fs::write(layout.mess(1), b"text").unwrap();
        for bad in [&b"Ta@h\0"[..], b"Fa\0Ta@h", b"Fa\0Ta@h\0Zx\0", b""] {
            std::fs::write(layout.todo(1), bad).unwrap();
            assert!(files(&layout, 1).is_err(), "{bad:?}");
            assert!(!layout.info(1).exists() && !layout.local(1).exists());
        }
    }

    #[test]
    fn an_envelope_without_its_text_is_trouble() {
        let (_directory, layout) = queue();
        std::fs::write(layout.todo(1), b"Fa\0Tb@h\0").unwrap();
        assert!(files(&layout, 1).is_err());
    }
}
