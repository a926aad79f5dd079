//! Bringing the index and the directories together.

use std::io;

use crate::begin::adds;
use crate::error::{Error, Result};
use crate::index::Record;
use crate::lock;
use crate::mailbox::{Access, Mailbox};
use crate::name::Place;
use crate::scan::{Files, scan};

impl Mailbox {
    /// Looks at the directories and records what differs.
    pub(crate) fn rescan(&mut self) -> Result<()> {
        let seen = scan(&self.folder)?;
        if self.mirrors(&seen.files) && !self.has_claims() {
            self.stamp = seen.stamp.settled();
            return self.note_stamp();
        }
        let _lock = self.lock()?;
        self.rescan_locked()
    }

    /// As `rescan`, for a caller that has the lock.
    pub(crate) fn rescan_locked(&mut self) -> Result<()> {
        let mut seen = scan(&self.folder)?;
        let all_there = |files: &Files, mailbox: &Self| {
            let mut messages = mailbox.messages().iter();
            messages.all(|message| files.contains_key(message.name.base()))
        };
        if !all_there(&seen.files, self) {
            // A file renamed by another program while we list may be missed.
            let again = scan(&self.folder)?;
            seen.files.extend(again.files);
        }
        self.stamp = seen.stamp.settled();
        let records = self.differences(seen.files)?;
        self.append(records)?;
        if self.access == Access::ReadWrite {
            self.claim()?;
        }
        Ok(())
    }

    /// Says whether the files are exactly what we know.
    fn mirrors(&self, files: &Files) -> bool {
        let messages = self.messages();
        messages.len() == files.len()
            && messages.iter().all(|message| {
                files
                    .get(message.name.base())
                    .is_some_and(|name| *name == message.name)
            })
    }

    /// Records that make the index say what the files say.
    fn differences(&self, mut files: Files) -> Result<Vec<Record>> {
        let state = &self.index.state;
        let modseq = state.modseq_next();
        let mut records = Vec::new();
        for message in &state.messages {
            match files.remove(message.name.base()) {
                Some(name) if name == message.name => {}
                Some(name) => records.push(Record::Update {
                    uid: message.uid,
                    modseq: if name.suffix() == message.name.suffix() {
                        message.modseq
                    } else {
                        modseq
                    },
                    keywords: message.flags.keywords,
                    place: name.place(),
                    suffix: name.suffix().to_vec(),
                }),
                None => records.push(Record::Expunge {
                    uid: message.uid,
                    modseq,
                }),
            }
        }
        records.extend(adds(&self.folder, state.uid_next, modseq, files)?);
        Ok(records)
    }

    pub(crate) fn has_claims(&self) -> bool {
        let mut messages = self.messages().iter();
        self.access == Access::ReadWrite
            && (!self.index.state.unclaimed().is_empty()
                || messages.any(|m| m.name.place() == Place::New))
    }

    /// Makes messages nobody has seen recent for this session, and only for
    /// it, since it has the lock; moves them from `new` to `cur`.
    fn claim(&mut self) -> Result<()> {
        let mut records = Vec::new();
        let unclaimed = self.index.state.unclaimed();
        self.recent
            .extend(unclaimed.iter().map(|message| message.uid));
        let claimed = unclaimed.last().map(|last| Record::Claimed {
            uid: last.uid.saturating_add(1),
        });
        for message in &self.index.state.messages {
            if message.name.place() == Place::Cur {
                continue;
            }
            let name = if message.name.suffix().is_empty() {
                message.name.with_suffix(Place::Cur, b":2,")
            } else {
                message.name.with_suffix(Place::Cur, message.name.suffix())
            };
            let from = message.name.path(&self.folder);
            match std::fs::rename(&from, name.path(&self.folder)) {
                Ok(()) => {
                    self.recent.insert(message.uid);
                    records.push(Record::Update {
                        uid: message.uid,
                        modseq: message.modseq,
                        keywords: message.flags.keywords,
                        place: Place::Cur,
                        suffix: name.suffix().to_vec(),
                    });
                }
                // Somebody else was faster; the next look finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.stamp = None,
                Err(error) => return Err(Error::io("rename", &from)(error)),
            }
        }
        if !records.is_empty() {
            self.stamp = None;
        }
        records.extend(claimed);
        self.append(records)
    }

    /// Tells later sessions that they need not look, if nobody writes now.
    fn note_stamp(&mut self) -> Result<()> {
        let Some(stamp) = self.stamp.filter(|_| self.stamp != self.index.state.stamp) else {
            return Ok(());
        };
        let Some(_lock) = lock::try_folder(&self.folder)? else {
            return Ok(());
        };
        self.follow()?;
        self.index.mend()?;
        if self.index.state.stamp == Some(stamp) {
            return Ok(());
        }
        self.append(vec![Record::Stamp {
            new: stamp.0,
            cur: stamp.1,
        }])
    }
}
