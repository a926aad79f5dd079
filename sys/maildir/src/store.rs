//! Changing flags and expunging.

use std::io;

use crate::error::{Error, Result};
use crate::flags::{
    FlagOperation, FlagSet, Flags, KEYWORD_LETTERS, KEYWORDS_MAX, System, is_keyword,
};
use crate::import::KEYWORDS_FILE;
use crate::index::Record;
use crate::mailbox::{Access, Mailbox, TRIES_MAX};

/// What [`Mailbox::store`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// UIDs of messages whose flags are different now.
    pub changed: Vec<u32>,
    /// UIDs of messages left alone because they changed after
    /// `unchanged_since` (MODIFIED of RFC 7162).
    pub refused: Vec<u32>,
}

/// Which of the named messages are expunged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Only {
    /// Those with `\Deleted` (IMAP).
    Trashed,
    /// All (POP3, MOVE).
    Any,
}

impl Mailbox {
    /// Changes flags. UIDs that do not exist are skipped.
    ///
    /// When it fails in the middle, what was done stays done.
    pub fn store(
        &mut self,
        uids: &[u32],
        operation: FlagOperation,
        set: &FlagSet,
        unchanged_since: Option<u64>,
    ) -> Result<Stored> {
        self.writable()?;
        let _lock = self.lock()?;
        let given = match operation {
            FlagOperation::Remove => self.known(set),
            FlagOperation::Add | FlagOperation::Replace => self.intern(set)?,
        };
        let modseq = self.index.state.modseq_next();
        let mut stored = Stored::default();
        let mut records = Vec::new();
        let mut outcome = Ok(());
        for &uid in uids {
            let unchanged = self
                .message(uid)
                .is_none_or(|message| unchanged_since.is_none_or(|limit| message.modseq <= limit));
            if !unchanged {
                stored.refused.push(uid);
                continue;
            }
            match self.store_one(uid, operation, given, modseq, &mut records) {
                Ok(true) => stored.changed.push(uid),
                Ok(false) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.index.append(records, |_| ())?;
        outcome.map(|()| stored)
    }

    /// Removes messages; the UIDs of those that are gone by our doing.
    ///
    /// When it fails in the middle, what was done stays done.
    pub fn expunge(&mut self, uids: &[u32], only: Only) -> Result<Vec<u32>> {
        self.writable()?;
        let _lock = self.lock()?;
        let modseq = self.index.state.modseq_next();
        let mut gone = Vec::new();
        let mut records = Vec::new();
        let mut outcome = Ok(());
        for &uid in uids {
            match self.expunge_one(uid, only, modseq, &mut records) {
                Ok(true) => {
                    gone.push(uid);
                    self.recent.remove(&uid);
                }
                Ok(false) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.index.append(records, |_| ())?;
        outcome.map(|()| gone)
    }

    /// Flags as bits of this folder; keywords it does not know are left out.
    fn known(&self, set: &FlagSet) -> Flags {
        let keywords = set.keywords.iter().filter_map(|name| self.keyword(name));
        Flags {
            system: set.system,
            keywords: keywords.fold(0, |bits, number| bits | 1 << number),
        }
    }

    /// Flags as bits of this folder; new keywords get numbers. The caller has
    /// the lock.
    pub(crate) fn intern(&mut self, set: &FlagSet) -> Result<Flags> {
        let mut new: Vec<&String> = Vec::new();
        for name in &set.keywords {
            let twice = new.iter().any(|other| other.eq_ignore_ascii_case(name));
            if self.keyword(name).is_none() && !twice {
                new.push(name);
            }
        }
        let first = self.keywords().len();
        if KEYWORDS_MAX < first + new.len() || !new.iter().all(|name| is_keyword(name)) {
            return Err(Error::Keyword);
        }
        if !new.is_empty() {
            let records = new
                .into_iter()
                .enumerate()
                .map(|(at, name)| Record::Keyword {
                    number: (first + at) as u8,
                    name: name.clone(),
                });
            self.append(records.collect())?;
            if first < KEYWORD_LETTERS {
                self.publish_keywords()?;
            }
        }
        Ok(self.known(set))
    }

    /// Tells other programs what the letters mean.
    fn publish_keywords(&self) -> Result<()> {
        let names = self.keywords().iter().take(KEYWORD_LETTERS).enumerate();
        let table: String = names
            .map(|(number, name)| format!("{number} {name}\n"))
            .collect();
        let path = self.folder.join(KEYWORDS_FILE);
        os::file::replace(&path, table.as_bytes(), 0o600).map_err(Error::io("write", &path))
    }

    fn keyword(&self, name: &str) -> Option<usize> {
        let mut names = self.keywords().iter();
        names.position(|known| known.eq_ignore_ascii_case(name))
    }

    /// Changes the flags of one message; says whether they differ now.
    fn store_one(
        &mut self,
        uid: u32,
        operation: FlagOperation,
        given: Flags,
        modseq: u64,
        records: &mut Vec<Record>,
    ) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let Some(message) = self.message(uid) else {
                return Ok(false);
            };
            let flags = operation.apply(message.flags, given);
            if flags == message.flags {
                return Ok(false);
            }
            let name = message.name.changed(flags, self.keywords().len());
            let from = message.name.path(&self.folder);
            match std::fs::rename(&from, name.path(&self.folder)) {
                Ok(()) => {
                    records.push(Record::Update {
                        uid,
                        modseq,
                        keywords: flags.keywords,
                        place: name.place(),
                        suffix: name.suffix().to_vec(),
                    });
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Another program renamed it. First the index learns what
                    // we did, then what the other did.
                    self.index.append(std::mem::take(records), |_| ())?;
                    self.rescan_locked()?;
                }
                Err(error) => return Err(Error::io("rename", &from)(error)),
            }
        }
        Err(Error::Contended(uid))
    }

    fn expunge_one(
        &mut self,
        uid: u32,
        only: Only,
        modseq: u64,
        records: &mut Vec<Record>,
    ) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let Some(message) = self.message(uid) else {
                return Ok(false);
            };
            if only == Only::Trashed && !message.flags.system.contains(System::TRASHED) {
                return Ok(false);
            }
            let path = message.name.path(&self.folder);
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    records.push(Record::Expunge { uid, modseq });
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.index.append(std::mem::take(records), |_| ())?;
                    self.rescan_locked()?;
                }
                Err(error) => return Err(Error::io("remove", &path)(error)),
            }
        }
        Err(Error::Contended(uid))
    }

    fn writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::ReadOnly),
        }
    }
}
