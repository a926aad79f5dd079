//! One message: its envelope in `todo` becomes `info`, `local` and `remote`
//! (queue-and-delivery.md §4.2). The order, once and for all:
//!
//! 1. delete what an earlier try left, durably;
//! 2. read `todo/N`, write `info/N`, `local/N` and `remote/N`;
//! 3. sync them and their directory entries ([`Batch::sync`]);
//! 4. have `todo/N` removed ([`crate::clean`]);
//! 5. tell qmail-send.
//!
//! Until `todo/N` is removed these files are worthless.
//!
//! With a single recipient there is nothing to keep count of, so such a
//! message is not written at all unless its first try fails ([`Single`]).

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use address::{Route, Routing};
use wire::todo::{Channels, PutBack, Single};

use crate::files::remove as remove_name;
use crate::{FileSystem, Info, Layout, RecordReader};

/// Recipients kept for the trace event.
const RECIPIENTS_TOLD_MAX: usize = 50;
/// Longest envelope that is kept in memory instead of files.
const SINGLE_BYTES_MAX: u64 = 4096;

/// A message that is sorted but not synced.
#[derive(Debug)]
pub struct Sorted<File> {
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

/// Whether a message with one recipient may be told instead of written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// With a local recipient.
    pub local: bool,
    /// With a remote recipient.
    pub remote: bool,
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

/// What was found under a number in `todo`.
#[derive(Debug)]
pub enum Found<File> {
    /// Nothing any more.
    Nothing,
    /// An envelope without a text: the message ended before a crash, which
    /// kept the removal of its text and not that of its envelope.
    Ended,
    /// A message, sorted.
    Message(Box<Sorted<File>>),
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

/// Steps 1 and 2: sorts one message. On an error nothing it wrote is left.
pub fn sort<F: FileSystem>(
    files: &F,
    layout: &Layout,
    routing: &Routing,
    id: u64,
    how: How,
) -> Result<Found<F::File>, Trouble> {
    if how.is_again {
        let mut stale = vec![layout.info(id), layout.local(id), layout.remote(id)];
        if how.put_back.is_none() {
            // Its recipient failed, but that was not written down in time:
            // it will be tried, and fail, again.
            stale.push(layout.bounce(id));
        }
        stale.iter().try_for_each(|path| bury(files, path))?;
    }
    let result = write(files, layout, routing, id, how);
    if result.is_err() {
        // The next try deletes what stays behind.
        let _ = discard(files, layout, id);
    }
    result
}

/// Deletes what a try wrote.
pub(crate) fn discard<F: FileSystem>(files: &F, layout: &Layout, id: u64) -> Result<(), Trouble> {
    let paths = [layout.info(id), layout.local(id), layout.remote(id)];
    paths.iter().try_for_each(|path| remove(files, path))
}

/// Removes what was left before a crash for good: another crash must not
/// bring it back beside what is written now.
fn bury<F: FileSystem>(files: &F, path: &Path) -> Result<(), Trouble> {
    match files.unlink(path) {
        Ok(()) => files
            .sync_directory(path.parent().unwrap_or(path))
            .map_err(trouble("unable to sync the directory of", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(trouble("unable to unlink", path)(error)),
    }
}

fn remove<F: FileSystem>(files: &F, path: &Path) -> Result<(), Trouble> {
    remove_name(files, path).map_err(trouble("unable to unlink", path))
}

fn write<F: FileSystem>(
    files: &F,
    layout: &Layout,
    routing: &Routing,
    id: u64,
    how: How,
) -> Result<Found<F::File>, Trouble> {
    let (mess, todo) = (layout.mess(id), layout.todo(id));
    let mut envelope = match RecordReader::open_on(files, &todo) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened.map_err(trouble("unable to open", &todo))?,
    };
    let bytes = match files.status(&mess) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Ended),
        status => status.map_err(trouble("unable to stat", &mess))?.bytes,
    };
    let queued = envelope
        .status(files)
        .map_err(trouble("unable to stat", &todo))?;
    let mut sorted = Sorted {
        id,
        channels: Channels::Neither,
        info: Info {
            birth: queued.mtime,
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
        local: Recipients::new(files, layout.local(id)),
        remote: Recipients::new(files, layout.remote(id)),
        only: Only::None,
        room: match queued.bytes {
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
        return Ok(Found::Message(Box::new(sorted)));
    }
    let Lists { local, remote, .. } = lists;
    sorted.channels = match (local.is_used(), remote.is_used()) {
        (true, true) => Channels::Both,
        (true, false) => Channels::Local,
        (false, true) => Channels::Remote,
        (false, false) => Channels::Neither,
    };
    let mut info = Recipients::new(files, layout.info(id));
    info.write(&sorted.info.to_bytes())?;
    let birth = how.put_back.map(|_| sorted.info.birth);
    let due = how.put_back.map(|put_back| put_back.due);
    for (file, time) in [(info, birth), (local, due), (remote, due)] {
        file.finish(time, &mut sorted)?;
    }
    Ok(Found::Message(Box::new(sorted)))
}

impl<File> Sorted<File> {
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
struct Lists<'a, F: FileSystem> {
    local: Recipients<'a, F>,
    remote: Recipients<'a, F>,
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

impl<F: FileSystem> Lists<'_, F> {
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
struct Recipients<'a, F: FileSystem> {
    files: &'a F,
    path: PathBuf,
    file: Option<BufWriter<F::File>>,
}

impl<'a, F: FileSystem> Recipients<'a, F> {
    fn new(files: &'a F, path: PathBuf) -> Self {
        Self {
            files,
            path,
            file: None,
        }
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
                let created = self
                    .files
                    .create_named(&self.path)
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
    fn finish(self, time: Option<i64>, sorted: &mut Sorted<F::File>) -> Result<(), Trouble> {
        let Some(file) = self.file else { return Ok(()) };
        let file = file
            .into_inner()
            .map_err(|error| trouble("trouble writing to", &self.path)(error.into_error()))?;
        if let Some(time) = time {
            self.files
                .set_mtime(&file, time)
                .map_err(trouble("unable to utime", &self.path))?;
        }
        sorted.files.push(file);
        sorted
            .directories
            .extend(self.path.parent().map(Path::to_owned));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
