//! One user's mail, as a session asks for it. Everything here blocks.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use imap::command::{Append, Transfer};
use imap::flags::{Change, Flags};
use imap::folder::FolderName;
use imap::search::Extent;
use imap::view::{Entry, Snapshot};
use imap::{Answer, Copied, Counts, FolderChange, Question, Refusal};
use maildir::quota::{self, Trash, Usage};
use maildir::{Account, Error, Mailbox, Only, Staged, System};

use crate::convert;

/// Longest header that is read without the rest of its message.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// Largest message that is read into memory.
const MESSAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What is in here does not count for the quota.
const TRASH: &str = ".Trash";

/// Folders of somebody who logs in for the first time: each has an attribute
/// of RFC 6154, so that all clients of a user file into the same ones.
const FIRST_FOLDERS: [&str; 5] = ["Archive", "Drafts", "Junk", "Sent", "Trash"];

type Outcome<T> = Result<T, Refusal>;

/// The mail of one user, with a folder open perhaps.
pub struct Mail {
    account: Account,
    quota: quota::Quota,
    open: Option<Open>,
    append: Option<Appending>,
    /// What went wrong since somebody last looked, for the log.
    trouble: Vec<String>,
}

struct Open {
    mailbox: Mailbox,
    name: maildir::FolderName,
}

/// A message on its way in.
struct Appending {
    mailbox: Mailbox,
    name: maildir::FolderName,
    staged: Staged,
}

impl Mail {
    /// Opens the mail of a user, and makes the Maildir if it is not there.
    pub fn enter(account: &wire::lookup::Account) -> Result<Self, Error> {
        let mut mail = Self {
            account: Account::open_or_create(Path::new(&account.maildir))?,
            quota: quota::Quota::parse(account.quota.as_bytes()),
            open: None,
            append: None,
            trouble: Vec::new(),
        };
        // Mail can be read without them; the log says why they are missing.
        let _ = mail.try_to(Self::furnish);
        Ok(mail)
    }

    /// Answers a question that is about mail.
    ///
    /// # Panics
    /// When the question is about something else.
    pub fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Folders => Answer::Folders(self.try_to(Self::folders)),
            Question::Open(name, access) => {
                self.open = None;
                Answer::Mailbox(self.try_to(|mail| mail.open(&name, convert::access(access))))
            }
            Question::Close => {
                self.open = None;
                Answer::Done(Ok(()))
            }
            Question::Status(name) => Answer::Status(self.try_to(|mail| mail.status(&name))),
            Question::Folder(change) => Answer::Done(self.try_to(|mail| mail.change(&change))),
            Question::Quota => Answer::Quota(self.quota()),
            Question::Refresh => Answer::Entries(self.try_to(Self::refresh)),
            Question::Read { uid, extent } => {
                Answer::Text(self.try_to(|mail| mail.read(uid, extent)))
            }
            Question::Measure(uids) => Answer::Sizes(self.measure(&uids)),
            Question::Store {
                uids,
                change,
                flags,
            } => Answer::Stored(self.try_to(|mail| mail.store(&uids, change, &flags))),
            Question::Remove(uids) => Answer::Removed(self.try_to(|mail| mail.remove(&uids))),
            Question::Copy { uids, to, transfer } => {
                Answer::Copied(self.copy(&uids, &to, transfer))
            }
            Question::AppendBegin(append, bytes) => Answer::Done(self.append_begin(append, bytes)),
            Question::AppendData(bytes) => Answer::Done(self.append_data(&bytes)),
            Question::AppendEnd => Answer::Appended(self.try_to(Self::append_end)),
            Question::AppendAbort => {
                self.append = None;
                Answer::Done(Ok(()))
            }
            Question::Seed
            | Question::Lookup(_)
            | Question::Failed { .. }
            | Question::Enter { .. } => unreachable!("not a question about mail"),
        }
    }

    /// What went wrong since the last call.
    pub fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    /// Directories to watch while the client idles.
    pub fn watch_paths(&self) -> Option<[PathBuf; 2]> {
        self.open.as_ref().map(|open| open.mailbox.watch_paths())
    }

    fn folders(&mut self) -> Result<(Vec<FolderName>, Vec<FolderName>), Error> {
        let names = |names: Vec<maildir::FolderName>| {
            names.iter().filter_map(convert::to_session).collect()
        };
        Ok((
            names(self.account.folders()?),
            names(self.account.subscriptions()?),
        ))
    }

    fn furnish(&mut self) -> Result<(), Error> {
        let names = FIRST_FOLDERS.map(|name| maildir::FolderName::parse(name, '.'));
        let names = names.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.account.furnish(&names)
    }

    fn open(&mut self, name: &FolderName, access: maildir::Access) -> Result<Snapshot, Error> {
        let name = convert::to_store(name)?;
        let mut mailbox = self.account.open_folder(&name, access)?;
        // What was found while opening is part of the snapshot.
        mailbox.refresh()?;
        let snapshot = Snapshot {
            uid_validity: mailbox.uid_validity(),
            uid_next: mailbox.uid_next(),
            messages: entries(&mailbox),
        };
        self.open = Some(Open { mailbox, name });
        Ok(snapshot)
    }

    fn status(&mut self, name: &FolderName) -> Result<Counts, Error> {
        let name = convert::to_store(name)?;
        let mailbox = self.account.open_folder(&name, maildir::Access::ReadOnly)?;
        let mut counts = Counts {
            uid_next: mailbox.uid_next(),
            uid_validity: mailbox.uid_validity(),
            ..Counts::default()
        };
        for message in mailbox.messages() {
            let flags = message.flags.system;
            counts.messages += 1;
            counts.recent += u64::from(mailbox.is_recent(message.uid));
            counts.unseen += u64::from(!flags.contains(System::SEEN));
            counts.deleted += u64::from(flags.contains(System::TRASHED));
            counts.size += message.wire_size.unwrap_or(message.size);
        }
        Ok(counts)
    }

    fn change(&mut self, change: &FolderChange) -> Result<(), Error> {
        let name = convert::to_store;
        match change {
            FolderChange::Create(folder) => self.account.create(&name(folder)?),
            FolderChange::Rename(from, to) => self.account.rename(&name(from)?, &name(to)?),
            FolderChange::Subscribe(folder) => self.account.subscribe(&name(folder)?),
            FolderChange::Unsubscribe(folder) => self.account.unsubscribe(&name(folder)?),
            FolderChange::Delete(folder) => {
                self.account.delete(&name(folder)?)?;
                // Its messages went without being counted one by one.
                self.recount();
                Ok(())
            }
        }
    }

    fn refresh(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        let mailbox = self.mailbox()?;
        let changes = mailbox.refresh()?;
        Ok((!changes.is_empty()).then(|| entries(mailbox)))
    }

    fn read(&mut self, uid: u32, extent: Extent) -> Result<Option<Vec<u8>>, Error> {
        let mailbox = self.mailbox()?;
        if extent == Extent::Whole
            && mailbox
                .message(uid)
                .is_some_and(|m| MESSAGE_BYTES_MAX < m.size)
        {
            return Err(Error::Contended(uid));
        }
        let text = match extent {
            Extent::Whole => mailbox.read_message(uid),
            Extent::Header => mailbox.open_message(uid).and_then(|file| {
                header(file).map_err(|source| Error::Io {
                    action: "read a message in",
                    path: mailbox.watch_paths()[1].clone(),
                    source,
                })
            }),
        };
        match text {
            Ok(text) => Ok(Some(text)),
            Err(Error::NoSuchMessage(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sizes of messages; those that cannot be measured are left out.
    fn measure(&mut self, uids: &[u32]) -> Vec<(u32, u64)> {
        let measured = self.try_to(|mail| {
            let mailbox = mail.mailbox()?;
            mailbox.measure(uids)?;
            let size = |&uid: &u32| Some((uid, mailbox.message(uid)?.wire_size?));
            Ok(uids.iter().filter_map(size).collect())
        });
        measured.unwrap_or_default()
    }

    fn store(
        &mut self,
        uids: &[u32],
        change: Change,
        flags: &Flags,
    ) -> Result<Vec<(u32, Flags, u64)>, Error> {
        let counted = self.counted(uids);
        let mailbox = self.mailbox()?;
        let set = convert::flag_set(flags);
        mailbox.store(uids, convert::operation(change), &set, None)?;
        let stored = |&uid: &u32| {
            let message = mailbox.message(uid)?;
            Some((uid, convert::flags(mailbox, message), message.modseq))
        };
        let stored = uids.iter().filter_map(stored).collect();
        // A message marked as deleted does not count (virtual-domains.md
        // §7.10), one that is no longer marked does again.
        let after = self.counted(uids);
        self.record(difference(after, counted));
        Ok(stored)
    }

    fn remove(&mut self, uids: &[u32]) -> Result<Vec<u32>, Error> {
        let counted = self.counted(uids);
        let mut gone = self.mailbox()?.expunge(uids, Only::Trashed)?;
        gone.sort_unstable();
        let after = self.counted(uids);
        self.record(difference(after, counted));
        Ok(gone)
    }

    fn copy(&mut self, uids: &[u32], to: &FolderName, transfer: Transfer) -> Outcome<Copied> {
        let name = self.try_to(|_| convert::to_store(to))?;
        let counted = self.counted(uids);
        let counts_there = name.directory() != TRASH;
        if transfer == Transfer::Copy && counts_there {
            self.has_room(counted.bytes.unsigned_abs(), counted.messages)?;
        }
        self.try_to(|mail| {
            let mut target = mail.account.open_folder(&name, maildir::Access::ReadOnly)?;
            let mailbox = mail.mailbox()?;
            let mut pairs = match transfer {
                Transfer::Copy => mailbox.copy_to(uids, &mut target)?,
                Transfer::Move => mailbox.move_to(uids, &mut target)?,
            };
            pairs.sort_unstable();
            let there = if counts_there {
                counted
            } else {
                Usage::default()
            };
            let after = mail.counted(uids);
            let here = difference(after, counted);
            mail.record(Usage {
                bytes: here.bytes + there.bytes,
                messages: here.messages + there.messages,
            });
            Ok(Copied {
                uid_validity: target.uid_validity(),
                pairs,
            })
        })
    }

    fn append_begin(&mut self, append: Append, bytes: u64) -> Outcome<()> {
        let name = self.try_to(|_| convert::to_store(&append.folder))?;
        if name.directory() != TRASH {
            self.has_room(bytes, 1)?;
        }
        self.append = None;
        self.try_to(|mail| {
            let mailbox = mail.account.open_folder(&name, maildir::Access::ReadOnly)?;
            let staged = mailbox.stage(convert::flag_set(&append.flags), append.date)?;
            mail.append = Some(Appending {
                mailbox,
                name,
                staged,
            });
            Ok(())
        })
    }

    fn append_data(&mut self, bytes: &[u8]) -> Outcome<()> {
        let Some(appending) = &mut self.append else {
            return Err(Refusal::Temporary);
        };
        appending.staged.write_all(bytes).map_err(|error| {
            self.trouble
                .push(format!("cannot write a message: {error}"));
            match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    Refusal::OverQuota
                }
                _ => Refusal::Temporary,
            }
        })
    }

    fn append_end(&mut self) -> Result<(u32, u32), Error> {
        let Some(Appending {
            mut mailbox,
            name,
            staged,
        }) = self.append.take()
        else {
            return Err(Error::NoSuchFolder);
        };
        let bytes = i64::try_from(staged.size()).unwrap_or(i64::MAX);
        let uids = mailbox.commit(vec![staged])?;
        if name.directory() != TRASH {
            let messages = 1;
            self.record(Usage { bytes, messages });
        }
        let uid = uids.first().copied().ok_or(Error::NoSuchFolder)?;
        Ok((mailbox.uid_validity(), uid))
    }

    fn quota(&mut self) -> Outcome<imap::Quota> {
        let usage = match self.quota.is_unlimited() {
            true => Usage::default(),
            false => self.usage(None)?,
        };
        Ok(imap::Quota {
            bytes: usage.bytes.max(0).unsigned_abs(),
            bytes_max: self.quota.bytes,
            messages: usage.messages.max(0).unsigned_abs(),
            messages_max: self.quota.messages,
        })
    }

    fn has_room(&mut self, bytes: u64, messages: i64) -> Outcome<()> {
        if self.quota.is_unlimited() {
            return Ok(());
        }
        let usage = self.usage(Some(bytes))?;
        let after = Usage {
            bytes: usage.bytes.saturating_add_unsigned(bytes),
            messages: usage.messages.saturating_add(messages),
        };
        match self.quota.is_exceeded_by(after) {
            true => Err(Refusal::OverQuota),
            false => Ok(()),
        }
    }

    fn usage(&mut self, incoming: Option<u64>) -> Outcome<Usage> {
        let usage = quota::usage(self.account.root(), self.quota, incoming, Trash::Excluded);
        usage.map_err(|error| {
            self.trouble
                .push(format!("cannot count the quota: {error}"));
            Refusal::Temporary
        })
    }

    /// What these messages of the open folder add to the usage.
    fn counted(&self, uids: &[u32]) -> Usage {
        let Some(open) = &self.open else {
            return Usage::default();
        };
        if self.quota.is_unlimited() || open.name.directory() == TRASH {
            return Usage::default();
        }
        uids.iter()
            .filter_map(|&uid| open.mailbox.message(uid))
            .filter(|message| !message.flags.system.contains(System::TRASHED))
            .fold(Usage::default(), |sum, message| {
                sum.with_message(message.size)
            })
    }

    fn record(&mut self, change: Usage) {
        if self.quota.is_unlimited() || change == Usage::default() {
            return;
        }
        let root = self.account.root();
        if let Err(error) = quota::record(root, self.quota, change, Trash::Excluded) {
            self.trouble.push(format!("cannot note the quota: {error}"));
        }
    }

    fn recount(&mut self) {
        if self.quota.is_unlimited() {
            return;
        }
        if let Err(error) = quota::count(self.account.root(), self.quota, Trash::Excluded) {
            self.trouble
                .push(format!("cannot count the quota: {error}"));
        }
    }

    fn mailbox(&mut self) -> Result<&mut Mailbox, Error> {
        let open = self.open.as_mut().ok_or(Error::NoSuchFolder)?;
        Ok(&mut open.mailbox)
    }

    /// Does something; an error of ours is noted for the log.
    fn try_to<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Outcome<T> {
        work(self).map_err(|error| {
            let refusal = convert::refusal(&error);
            if matches!(refusal, Refusal::Temporary | Refusal::OverQuota) {
                let mut text = error.to_string();
                if let Some(cause) = std::error::Error::source(&error) {
                    text.push_str(&format!(": {cause}"));
                }
                self.trouble.push(text);
            }
            refusal
        })
    }
}

fn entries(mailbox: &Mailbox) -> Vec<Entry> {
    let messages = mailbox.messages().iter();
    messages
        .map(|message| convert::entry(mailbox, message))
        .collect()
}

fn difference(after: Usage, before: Usage) -> Usage {
    Usage {
        bytes: after.bytes - before.bytes,
        messages: after.messages - before.messages,
    }
}

/// Reads as far as the empty line, with CRLF line ends.
fn header(mut file: std::fs::File) -> std::io::Result<Vec<u8>> {
    const PIECE_BYTES: u64 = 8 * 1024;
    let mut text = Vec::new();
    loop {
        let before = text.len();
        (&mut file).take(PIECE_BYTES).read_to_end(&mut text)?;
        let end = imap::header::header_end(&text);
        let found = end < text.len() || text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n");
        if found || text.len() == before || HEADER_BYTES_MAX <= text.len() as u64 {
            text.truncate(end);
            return Ok(maildir::to_crlf(&text));
        }
    }
}
