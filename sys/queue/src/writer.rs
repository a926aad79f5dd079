//! One message into the queue.
//!
//! The order, once and for all (queue-and-delivery.md §2.7):
//!
//! 1. create a file in `pid`; its inode number is the message's number;
//! 2. write the text;
//! 3. link it as `mess/N` and drop the name in `pid`;
//! 4. create the envelope in `intd`, write it;
//! 5. sync text and envelope, sync the directory of `mess/N`;
//! 6. link the envelope as `todo/N`: now the message is queued;
//! 7. sync the directory of `todo/N`; pull the trigger; say yes.
//!
//! Where the file system can, files of step 1 and 4 have no name at first: a
//! writer that dies before step 3 then leaves nothing, and there is never an
//! `intd/N`. On an error, and when a [`Text`] or [`Recipients`] is dropped,
//! everything made so far is removed.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use address::{ADDRESS_BYTES_MAX, Address, AddressError};
use text::records;

use crate::{Error, FileSystem, Layout};

/// Bytes collected before a write.
const BUFFER_BYTES: usize = 32 * 1024;
/// Names tried in `pid`.
const PID_NAMES_MAX: u32 = 9;

/// Is a kind of sync done?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sync {
    /// Yes.
    #[default]
    Always,
    /// No: a power cut loses mail. Only where the administrator says so.
    Never,
}

/// What is synced. Everything, unless `USE_FSYNC` or `USE_SYNCDIR` say no.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Durability {
    /// Content of files.
    pub files: Sync,
    /// Entries of directories.
    pub directories: Sync,
}

impl Durability {
    /// What the settings say.
    pub fn configured(settings: &run::Settings) -> Result<Self, run::SettingError> {
        let sync = |setting| match settings.line(setting)?.as_deref() {
            Some(b"" | b"0") => Ok(Sync::Never),
            _ => Ok(Sync::Always),
        };
        Ok(Self {
            files: sync(&settings::queue::USE_FSYNC)?,
            directories: sync(&settings::queue::USE_SYNCDIR)?,
        })
    }
}

/// Writes messages into one queue, from any number of threads.
#[derive(Debug)]
pub struct Writer<F> {
    layout: Layout,
    files: F,
    durability: Durability,
    bytes_free_min: u64,
    /// Makes names in `pid` of one process different.
    sequence: AtomicU64,
}

/// A message whose text is being written.
#[derive(Debug)]
pub struct Text<'a, F: FileSystem> {
    queue: &'a Writer<F>,
    file: BufWriter<F::File>,
    id: u64,
    entered: Entered,
}

/// How far a message got, so that it can be taken back.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Entered {
    /// At most a name in `pid`.
    Nowhere,
    /// `mess/N`.
    Mess,
    /// `mess/N`, and a name in `intd` when envelopes have one.
    Intd,
    /// `todo/N`: others may be working on it.
    Todo,
}

/// The first records of an envelope.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeHead<'a> {
    /// Real user of the injector.
    pub uid: u32,
    /// Process that queued it.
    pub pid: u32,
    /// Envelope sender, empty for notifications.
    pub sender: &'a [u8],
}

/// A message whose text is complete and whose recipients are being written.
#[derive(Debug)]
pub struct Recipients<'a, F: FileSystem> {
    /// Takes the message back when it is dropped before the commit.
    text: Text<'a, F>,
    envelope: BufWriter<F::File>,
    record: Vec<u8>,
}

/// A message that is in the queue, on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Queued {
    /// Its number.
    pub id: u64,
}

impl<F: FileSystem> Writer<F> {
    /// Writes to the queue with this layout.
    pub fn new(layout: Layout, files: F, durability: Durability) -> Self {
        let sequence = AtomicU64::new(0);
        Self {
            layout,
            files,
            durability,
            bytes_free_min: 0,
            sequence,
        }
    }

    /// Refuses messages when fewer bytes are free (`MIN_FREE`).
    pub fn with_bytes_free_min(mut self, bytes: u64) -> Self {
        self.bytes_free_min = bytes;
        self
    }

    /// The queue.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Step 1: starts a message.
    pub fn begin(&self) -> Result<Text<'_, F>, Error> {
        crate::check_free(self.layout.root(), self.bytes_free_min)?;
        let (path, file) = self.create_in_pid()?;
        let id = match self.files.inode(&file) {
            Ok(id) => id,
            Err(source) => {
                let _ = self.files.drop_first_name(&file);
                return Err(Error::Pid { path, source });
            }
        };
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Text {
            queue: self,
            file,
            id,
            entered: Entered::Nowhere,
        })
    }

    fn create_in_pid(&self) -> Result<(PathBuf, F::File), Error> {
        let mut tries = 1..=PID_NAMES_MAX;
        loop {
            let name = format!(
                "{}.{}.{}",
                std::process::id(),
                os::clock::unix_seconds(),
                self.sequence.fetch_add(1, Ordering::Relaxed),
            );
            let path = self.layout.root().join("pid").join(name);
            match self.files.create(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries.next().is_some() => {}
                Err(source) => return Err(Error::Pid { path, source }),
            }
        }
    }

    /// Makes the files of one message, and the name `entry` in its
    /// directory, durable, as far as the administrator wants it.
    fn sync_message(&self, files: &[&F::File], entry: &Path) -> Result<(), Error> {
        let directory = entry.parent().unwrap_or(entry);
        let Durability {
            files: of_files,
            directories,
        } = self.durability;
        let files = match of_files {
            Sync::Always => files,
            Sync::Never => &[],
        };
        let written = |source| Error::Write {
            path: entry.to_owned(),
            source,
        };
        if directories == Sync::Never {
            let sync = |file: &&F::File| self.files.sync_file(file);
            return files.iter().try_for_each(sync).map_err(written);
        }
        let result = self.files.sync_message(files, directory);
        match files {
            [] => result.map_err(|source| Error::SyncDirectory {
                path: directory.to_owned(),
                source,
            }),
            _ => result.map_err(written),
        }
    }
}

impl<'a, F: FileSystem> Text<'a, F> {
    /// The number the message will have.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Step 2: writes some of the text.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|source| self.write_error(source))
    }

    /// Steps 3 and 4: the text is complete, the envelope starts.
    pub fn envelope(mut self, head: EnvelopeHead<'_>) -> Result<Recipients<'a, F>, Error> {
        self.file
            .flush()
            .map_err(|source| self.write_error(source))?;
        let queue = self.queue;
        let mess = queue.layout.mess(self.id);
        let mess_error = |path: &Path, source| Error::Mess {
            path: path.to_owned(),
            source,
        };
        queue
            .files
            .link(self.file.get_ref(), &mess)
            .map_err(|source| mess_error(&mess, source))?;
        self.entered = Entered::Mess;
        queue
            .files
            .drop_first_name(self.file.get_ref())
            .map_err(|source| mess_error(&mess, source))?;
        let path = queue.layout.intd(self.id);
        let file = match queue.files.create(&path) {
            Ok(file) => file,
            Err(source) => return Err(Error::Intd { path, source }),
        };
        self.entered = Entered::Intd;
        let envelope = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut recipients = Recipients {
            text: self,
            envelope,
            record: Vec::new(),
        };
        recipients.record(b'u', head.uid.to_string().as_bytes())?;
        recipients.record(b'p', head.pid.to_string().as_bytes())?;
        check(head.sender)?;
        recipients.record(b'F', head.sender)?;
        Ok(recipients)
    }

    fn write_error(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.queue.layout.mess(self.id),
            source,
        }
    }
}

impl<F: FileSystem> Recipients<'_, F> {
    /// Writes one recipient.
    pub fn add(&mut self, recipient: &[u8]) -> Result<(), Error> {
        if recipient.is_empty() {
            return Err(Error::Address);
        }
        check(recipient)?;
        self.record(b'T', recipient)
    }

    /// Steps 5 to 7: the envelope is complete with these header lines for the
    /// `e` and `h` records, each ending in a newline. Afterwards the message
    /// is in the queue, whatever happens.
    pub fn commit(mut self, extra_headers: &[u8], env_headers: &[u8]) -> Result<Queued, Error> {
        for (kind, lines) in [(b'e', extra_headers), (b'h', env_headers)] {
            if !lines.is_empty() {
                self.record(kind, lines)?;
            }
        }
        let (queue, id) = (self.text.queue, self.text.id);
        let (mess, intd, todo) = (
            queue.layout.mess(id),
            queue.layout.intd(id),
            queue.layout.todo(id),
        );
        self.envelope.flush().map_err(|source| Error::Write {
            path: intd.clone(),
            source,
        })?;
        queue.sync_message(&[self.text.file.get_ref(), self.envelope.get_ref()], &mess)?;
        queue
            .files
            .link(self.envelope.get_ref(), &todo)
            .map_err(|source| Error::Todo {
                path: todo.clone(),
                source,
            })?;
        self.text.entered = Entered::Todo;
        if let Err(error) = queue.sync_message(&[], &todo) {
            // qmail-todo may have begun with it. Without `todo` it has either
            // been sorted and is delivered, or is an old text to clean up;
            // with the text taken away it could become a message without one.
            let _ = queue.files.unlink(&todo);
            return Err(error);
        }
        queue.files.pull_trigger(&queue.layout.lock("trigger"));
        Ok(Queued { id })
    }

    fn record(&mut self, kind: u8, data: &[u8]) -> Result<(), Error> {
        self.record.clear();
        records::append(&mut self.record, kind, data);
        self.envelope
            .write_all(&self.record)
            .map_err(|source| Error::Write {
                path: self.text.queue.layout.intd(self.text.id),
                source,
            })
    }
}

/// Takes the message back: envelope first, so that no envelope is ever
/// without a text.
impl<F: FileSystem> Drop for Text<'_, F> {
    fn drop(&mut self) {
        let Writer { layout, files, .. } = self.queue;
        match self.entered {
            Entered::Nowhere => {
                let _ = files.drop_first_name(self.file.get_ref());
            }
            Entered::Mess => {
                let _ = files.drop_first_name(self.file.get_ref());
                let _ = files.unlink(&layout.mess(self.id));
            }
            Entered::Intd => {
                let _ = files.unlink(&layout.intd(self.id));
                let _ = files.unlink(&layout.mess(self.id));
            }
            Entered::Todo => {}
        }
    }
}

fn check(address: &[u8]) -> Result<(), Error> {
    const { assert!(ADDRESS_BYTES_MAX == 1002) };
    match Address::parse(address) {
        Ok(_) => Ok(()),
        Err(AddressError::TooLong) => Err(Error::AddressTooLong),
        Err(AddressError::Control | AddressError::Empty) => Err(Error::Address),
    }
}

#[cfg(test)]
mod tests;
