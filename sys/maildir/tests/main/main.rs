//! Promises of mailboxes that need a Maildir on disk.

mod crash;
mod folders;
mod messages;
mod together;

use std::fs;
use std::path::{Path, PathBuf};

use maildir::{Access, Account, FolderName, Mailbox};

/// A Maildir that is removed with the value.
pub(crate) struct World {
    pub(crate) account: Account,
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let account = Account::open_or_create(&directory.path().join("home/Maildir")).unwrap();
        Self { account, directory }
    }

    pub(crate) fn root(&self) -> &Path {
        self.account.root()
    }

    pub(crate) fn inbox(&self) -> Mailbox {
        self.open(Access::ReadWrite)
    }

    pub(crate) fn open(&self, access: Access) -> Mailbox {
        self.account
            .open_folder(&FolderName::inbox(), access)
            .unwrap()
    }

    /// Delivers as any Maildir program does; the base name.
    pub(crate) fn deliver(&self, name: &str, text: &str) -> String {
        let name = format!("{name},S={}", text.len());
        let tmp = self.root().join("tmp").join(&name);
        fs::write(&tmp, text).unwrap();
        fs::rename(tmp, self.root().join("new").join(&name)).unwrap();
        name
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root().join("indimail.index")
    }

    pub(crate) fn outside(&self) -> &Path {
        self.directory.path()
    }
}

/// UIDs with the base names they belong to.
pub(crate) fn uids(mailbox: &Mailbox) -> Vec<(u32, String)> {
    let messages = mailbox.messages().iter();
    messages
        .map(|m| (m.uid, String::from_utf8(m.name().base().to_vec()).unwrap()))
        .collect()
}
