//! The first index of a folder, and the records of new messages.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::import;
use crate::index::{Index, Record, State, next_uid_validity};
use crate::lock;
use crate::name::FileName;
use crate::scan::{Files, scan};

/// Makes the first index of a folder, with UIDs of another server if it left
/// any.
pub(crate) fn begin(root: &Path, folder: &Path) -> Result<Index> {
    let _lock = lock::folder(folder)?;
    if let Some(index) = Index::load(folder)? {
        return Ok(index);
    }
    let imported = import::uids(folder);
    let uid_validity = match &imported {
        Some(imported) => imported.uid_validity,
        None => {
            let _account = lock::account(root)?;
            next_uid_validity(&root.join("indimail.uidvalidity"))?
        }
    };
    let mut state = State {
        uid_next: 1,
        ..State::default()
    };
    let modseq = state.modseq_next();
    state.forgotten = modseq;
    state.highest_modseq = modseq;
    for (number, name) in import::keywords(folder).into_iter().enumerate() {
        let number = number as u8;
        state.apply(Record::Keyword { number, name });
    }
    if let Some(imported) = imported {
        let files = scan(folder)?.files;
        let mut known: Vec<(u32, FileName)> = files
            .into_iter()
            .filter_map(|(base, name)| Some((*imported.uids.get(&base[..])?, name)))
            .collect();
        known.sort_unstable_by_key(|(uid, _)| *uid);
        for (uid, name) in known {
            if let Some(record) = add(folder, uid, modseq, name)? {
                state.apply(record);
            }
        }
        state.uid_next = state.uid_next.max(imported.uid_next);
        // They were shown by the server that gave the UIDs.
        state.claimed = state.uid_next;
    }
    Index::create(folder, uid_validity, &state)
}

/// Gives UIDs to files, in the order the messages arrived.
pub(crate) fn adds(folder: &Path, uid_next: u32, modseq: u64, files: Files) -> Result<Vec<Record>> {
    let mut names: Vec<FileName> = files.into_values().collect();
    names.sort_unstable_by(|a, b| a.arrival().cmp(&b.arrival()));
    let mut records = Vec::with_capacity(names.len());
    let mut uid = uid_next;
    for name in names {
        if uid == u32::MAX {
            return Err(Error::UidsExhausted);
        }
        if let Some(record) = add(folder, uid, modseq, name)? {
            records.push(record);
            uid += 1;
        }
    }
    Ok(records)
}

/// The record of a file; asks the file only for what its name does not say.
/// `None` when it is gone.
fn add(folder: &Path, uid: u32, modseq: u64, name: FileName) -> Result<Option<Record>> {
    let (size, internal_date) = match (name.size(), name.seconds()) {
        (Some(size), Some(seconds)) => (size, seconds),
        _ => {
            let path = name.path(folder);
            match std::fs::symlink_metadata(&path) {
                Ok(metadata) => (
                    metadata.len(),
                    name.seconds().unwrap_or_else(|| metadata.mtime()),
                ),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("stat", &path)(error)),
            }
        }
    };
    Ok(Some(Record::Add {
        uid,
        modseq,
        size,
        wire_size: name.wire_size(),
        internal_date,
        keywords: 0,
        name,
    }))
}
