//! Putting messages into a folder: append, copy, move.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::flags::FlagSet;
use crate::index::Record;
use crate::mailbox::{Mailbox, TRIES_MAX};
use crate::name::{self, FileName};
use crate::staged::{Staged, set_modified};
use crate::store::Only;

impl Mailbox {
    /// Begins a message; write it, then [`Mailbox::commit`] it. Without a
    /// date it arrives now.
    pub fn stage(&self, flags: FlagSet, internal_date: Option<i64>) -> Result<Staged> {
        let date = internal_date.unwrap_or_else(os::clock::unix_seconds);
        Staged::create(&self.folder, flags, date)
    }

    /// Makes messages visible, all or none; their UIDs. When it returns, they
    /// and their UIDs are on disk.
    ///
    /// The order: content is synced, files get their final names, the
    /// directory is synced, UIDs are synced.
    pub fn commit(&mut self, mut messages: Vec<Staged>) -> Result<Vec<u32>> {
        for message in &mut messages {
            message.finish()?;
        }
        let _lock = self.lock()?;
        let mut made: Vec<PathBuf> = Vec::new();
        let outcome = self.commit_locked(&messages, &mut made);
        if outcome.is_err() {
            for path in made {
                let _ = std::fs::remove_file(path);
            }
        }
        outcome
    }

    /// Appends one message that is in memory; its UID.
    pub fn append_message(
        &mut self,
        message: &[u8],
        flags: FlagSet,
        internal_date: Option<i64>,
    ) -> Result<u32> {
        let mut staged = self.stage(flags, internal_date)?;
        let path = staged.path.clone();
        staged
            .write_all(message)
            .map_err(Error::io("write", &path))?;
        let uids = self.commit(vec![staged])?;
        uids.first().copied().ok_or(Error::NoSuchFolder)
    }

    /// Copies messages into another folder, all or none; their UIDs here and
    /// there. Messages that do not exist any more are left out.
    pub fn copy_to(&mut self, uids: &[u32], to: &mut Self) -> Result<Vec<(u32, u32)>> {
        let mut staged = Vec::new();
        let mut copied = Vec::new();
        for &uid in uids {
            match self.stage_copy(uid, to) {
                Ok(message) => {
                    staged.push(message);
                    copied.push(uid);
                }
                Err(Error::NoSuchMessage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        let new = to.commit(staged)?;
        Ok(copied.into_iter().zip(new).collect())
    }

    /// Moves messages into another folder; their UIDs here and there. First
    /// all are copied, then removed here, so a crash leaves a message in both
    /// folders rather than in none.
    pub fn move_to(&mut self, uids: &[u32], to: &mut Self) -> Result<Vec<(u32, u32)>> {
        let pairs = self.copy_to(uids, to)?;
        let copied: Vec<u32> = pairs.iter().map(|(uid, _)| *uid).collect();
        self.expunge(&copied, Only::Any)?;
        Ok(pairs)
    }

    fn stage_copy(&mut self, uid: u32, to: &Self) -> Result<Staged> {
        for _ in 0..TRIES_MAX {
            let message = self.message(uid).ok_or(Error::NoSuchMessage(uid))?;
            let flags = FlagSet {
                system: message.flags.system,
                keywords: self
                    .keyword_names(message.flags.keywords)
                    .map(str::to_owned)
                    .collect(),
            };
            let path = message.name.path(&self.folder);
            let (size, wire_size) = (message.size, message.wire_size);
            match Staged::of_file(
                &path,
                &to.folder,
                size,
                wire_size,
                flags,
                message.internal_date,
            ) {
                Ok(staged) => return Ok(staged),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.rescan()?,
                Err(error) => return Err(Error::io("copy", &path)(error)),
            }
        }
        Err(Error::Contended(uid))
    }

    fn commit_locked(&mut self, messages: &[Staged], made: &mut Vec<PathBuf>) -> Result<Vec<u32>> {
        let mut records = Vec::new();
        let mut uids = Vec::new();
        for message in messages {
            let flags = self.intern(&message.flags)?;
            let mut base = name::unique(message.internal_date);
            base.push_str(&format!(",S={}", message.size));
            if let Some(size) = message.wire_size {
                base.push_str(&format!(",W={size}"));
            }
            let name = FileName::with_flags(base.as_bytes(), flags).ok_or(Error::NoSuchFolder)?;
            let path = name.path(&self.folder);
            std::fs::rename(&message.path, &path)
                .map_err(Error::io("rename into", &self.folder))?;
            set_modified(&path, message.internal_date);
            made.push(path);
            let state = &self.index.state;
            let uid = state
                .uid_next
                .checked_add(uids.len() as u32)
                .filter(|&uid| uid < u32::MAX)
                .ok_or(Error::UidsExhausted)?;
            uids.push(uid);
            records.push(Record::Add {
                uid,
                modseq: state.modseq_next(),
                size: message.size,
                wire_size: message.wire_size,
                internal_date: message.internal_date,
                keywords: flags.keywords,
                name,
            });
        }
        let directory = self.folder.join("cur");
        os::file::sync_directory(&directory).map_err(Error::io("sync", &directory))?;
        self.append(records)?;
        Ok(uids)
    }
}
