//! Making sorted messages durable, many at once.

use std::collections::BTreeSet;
use std::io;

use wire::clean::Command;

use crate::sort::discard;
use crate::{Durability, FileSystem, Layout, Sorted, Sync};

/// From this many messages on, one sync of the file system is cheaper than
/// one of each file: the disk's journal is committed once.
const MESSAGES_FOR_ONE_SYNC: usize = 3;

/// Messages that are sorted and not yet synced.
#[derive(Debug)]
pub struct Batch<File> {
    messages: Vec<Sorted<File>>,
}

/// Messages that are sorted and durable: their envelopes may go.
#[derive(Debug)]
pub struct Synced<File>(Vec<Sorted<File>>);

/// Messages that could not be made durable; their envelopes must stay.
#[derive(Debug)]
pub struct Unsynced<File> {
    /// Which.
    pub messages: Vec<Sorted<File>>,
    /// Why not.
    pub source: io::Error,
}

impl<File> Default for Batch<File> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
        }
    }
}

impl<File> Batch<File> {
    /// Adds a message. Files of a batch that will be synced as a whole are
    /// closed, so that its size is not limited by the number of descriptors,
    /// and header lines that are in the files already are forgotten.
    pub fn push(&mut self, mut sorted: Sorted<File>) {
        sorted.info.extra_headers = Vec::new();
        self.messages.push(sorted);
        let length = self.messages.len();
        let closed = match length {
            MESSAGES_FOR_ONE_SYNC => &mut self.messages[..],
            _ if MESSAGES_FOR_ONE_SYNC < length => &mut self.messages[length - 1..],
            _ => return,
        };
        for sorted in closed {
            sorted.files.clear();
        }
    }

    /// Nothing was added.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages.
    pub fn messages(&self) -> &[Sorted<File>] {
        &self.messages
    }

    /// Step 3: makes the files and their directory entries durable, as far as
    /// the administrator wants it. After an error they may be anything, and
    /// are gone: the next try writes new ones and does not sync these again.
    pub fn sync<F>(
        self,
        files: &F,
        layout: &Layout,
        durability: Durability,
    ) -> Result<Synced<File>, Unsynced<File>>
    where
        F: FileSystem<File = File>,
    {
        let result = self.sync_files(files, durability);
        let messages = self.messages;
        match result {
            Ok(()) => Ok(Synced(messages)),
            Err(source) => {
                for sorted in &messages {
                    // What stays is deleted by the next try.
                    let _ = discard(files, layout, sorted.id);
                }
                Err(Unsynced { messages, source })
            }
        }
    }

    fn sync_files<F>(&self, files: &F, durability: Durability) -> io::Result<()>
    where
        F: FileSystem<File = File>,
    {
        let is_on = |sync: Sync| sync == Sync::Always;
        let any = is_on(durability.files) || is_on(durability.directories);
        if any && MESSAGES_FOR_ONE_SYNC <= self.messages.len() {
            return files.sync_everything();
        }
        if is_on(durability.files) {
            let mut all = self.messages.iter().flat_map(|sorted| &sorted.files);
            all.try_for_each(|file| files.sync_file(file))?;
        }
        if is_on(durability.directories) {
            let all = self.messages.iter().flat_map(|sorted| &sorted.directories);
            let directories: BTreeSet<_> = all.collect();
            for directory in directories {
                files.sync_directory(directory)?;
            }
        }
        Ok(())
    }
}

impl<File> Synced<File> {
    /// Step 4: has the envelopes removed.
    pub fn commands(&self) -> impl Iterator<Item = Command> {
        self.0.iter().map(|sorted| Command::Todo(sorted.id))
    }

    /// The messages, to be told when their envelopes are gone.
    pub fn into_messages(self) -> Vec<Sorted<File>> {
        self.0
    }
}
