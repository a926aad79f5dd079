//! Making a batch of sorted messages durable.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use queue::{Durability, Layout, Sync};

use crate::sort::Sorted;

/// From this many messages on, one sync of the file system is cheaper than
/// one of each file: the disk's journal is committed once.
const MESSAGES_FOR_ONE_SYNC: usize = 3;

/// The file systems that hold what qmail-todo writes.
#[derive(Debug)]
pub struct Disks(Vec<File>);

/// Closes the files of a batch that will be synced as a whole, so that its
/// size is not limited by the number of descriptors, and forgets header lines
/// that are in the files already.
pub fn close_what_one_sync_covers(batch: &mut [Sorted]) {
    if let Some(last) = batch.last_mut() {
        last.info.extra_headers = Vec::new();
    }
    let closed = match batch.len() {
        MESSAGES_FOR_ONE_SYNC => batch,
        length if MESSAGES_FOR_ONE_SYNC < length => &mut batch[length - 1..],
        _ => return,
    };
    for sorted in closed {
        sorted.files.clear();
    }
}

impl Disks {
    /// Finds them; open before anything is written, so that no failed write
    /// is overlooked.
    pub fn of(layout: &Layout) -> io::Result<Self> {
        let mut seen = BTreeSet::new();
        let mut disks = Vec::new();
        for directory in ["info", "local", "remote"] {
            let file = File::open(layout.root().join(directory))?;
            if seen.insert(file.metadata()?.dev()) {
                disks.push(file);
            }
        }
        Ok(Self(disks))
    }

    /// Syncs the files of a batch and their directory entries. After an error
    /// nothing of the batch may be believed.
    pub fn sync(&self, batch: &[Sorted], durability: &Durability) -> io::Result<()> {
        let is_on = |sync: &Sync| *sync == Sync::Always;
        let any = is_on(&durability.files) || is_on(&durability.directories);
        if any && MESSAGES_FOR_ONE_SYNC <= batch.len() {
            return self.0.iter().try_for_each(os::file::sync_file_system);
        }
        if is_on(&durability.files) {
            let mut files = batch.iter().flat_map(|sorted| &sorted.files);
            files.try_for_each(File::sync_all)?;
        }
        if is_on(&durability.directories) {
            let directories: BTreeSet<_> = batch
                .iter()
                .flat_map(|sorted| &sorted.directories)
                .collect();
            for directory in directories {
                os::file::sync_directory(directory)?;
            }
        }
        Ok(())
    }
}
