//! The mailbox of a session: the inbox of a Maildir. Everything here blocks.

use std::fs::File;
use std::path::{Path, PathBuf};

use maildir::quota::{self, Quota, Trash, Usage};
use maildir::{Access, Account, Error, FlagOperation, FolderName, Mailbox, Only, System};
use pop3::{Entry, Update};

use crate::unique::Given;

/// An inbox as it was at login.
#[derive(Debug)]
pub struct Maildrop {
    root: PathBuf,
    quota: String,
    mailbox: Mailbox,
    /// UIDs in the order of entries.
    uids: Vec<u32>,
}

impl Maildrop {
    /// Opens the inbox and lists it. Messages stay in `new`: the first IMAP
    /// session shall see them as recent.
    pub fn open(maildir: &str, quota: &str) -> Result<(Self, Vec<Entry>), Error> {
        let root = PathBuf::from(maildir);
        let account = Account::open_or_create(&root)?;
        let mut mailbox = account.open_folder(&FolderName::inbox(), Access::ReadOnly)?;
        let uids: Vec<u32> = mailbox.messages().iter().map(|m| m.uid).collect();
        mailbox.measure(&uids)?;
        let given = Given::read(&root);
        let (uids, entries) = mailbox
            .messages()
            .iter()
            .filter(|message| uids.binary_search(&message.uid).is_ok())
            .map(|message| {
                let entry = Entry {
                    size: message.wire_size.unwrap_or(message.size),
                    unique_id: given.id(message.name().base()),
                };
                (message.uid, entry)
            })
            .unzip();
        let maildrop = Self {
            root,
            quota: quota.to_owned(),
            mailbox,
            uids,
        };
        Ok((maildrop, entries))
    }

    /// Opens a message; `None` when it is gone.
    pub fn message(&mut self, at: usize) -> Result<Option<File>, Error> {
        let Some(&uid) = self.uids.get(at) else {
            return Ok(None);
        };
        match self.mailbox.open_message(uid) {
            Ok(file) => Ok(Some(file)),
            Err(Error::NoSuchMessage(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes messages and marks others as seen.
    pub fn update(self, update: &Update) -> Result<(), Error> {
        if update.deleted.is_empty() && update.read.is_empty() {
            return Ok(());
        }
        let account = Account::open(&self.root)?;
        let mut mailbox = account.open_folder(&FolderName::inbox(), Access::ReadWrite)?;
        if mailbox.uid_validity() != self.mailbox.uid_validity() {
            return Err(Error::Rebuilt);
        }
        let uids = |positions: &[usize]| -> Vec<u32> {
            let uids = positions.iter().filter_map(|&at| self.uids.get(at));
            uids.copied().collect()
        };
        let seen = System::SEEN.into();
        mailbox.store(&uids(&update.read), FlagOperation::Add, &seen, None)?;
        let doomed = uids(&update.deleted);
        // Messages flagged as deleted are not in the sum.
        let counted: Vec<(u32, u64)> = doomed
            .iter()
            .filter_map(|&uid| mailbox.message(uid))
            .filter(|message| !message.flags.system.contains(System::TRASHED))
            .map(|message| (message.uid, message.size))
            .collect();
        let outcome = mailbox.expunge(&doomed, Only::Any);
        if let Ok(gone) = &outcome {
            let freed = counted.iter().filter(|(uid, _)| gone.contains(uid));
            let freed: Vec<u64> = freed.map(|(_, size)| *size).collect();
            record_freed(&self.root, &self.quota, &freed);
        }
        outcome.map(|_| ())
    }
}

/// Takes messages off `maildirsize`. When that fails the file is wrong until
/// it is counted anew, as it is now and then in any case.
fn record_freed(root: &Path, quota: &str, sizes: &[u64]) {
    if sizes.is_empty() {
        return;
    }
    let bytes: u64 = sizes.iter().sum();
    let change = Usage {
        bytes: 0i64.saturating_sub_unsigned(bytes),
        messages: 0i64.saturating_sub_unsigned(sizes.len() as u64),
    };
    let _ = quota::record(
        root,
        Quota::parse(quota.as_bytes()),
        change,
        Trash::Excluded,
    );
}
