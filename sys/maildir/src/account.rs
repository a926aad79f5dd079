//! A user's Maildir and its folders.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::folder::FolderName;
use crate::lock;
use crate::mailbox::{Access, Mailbox};
use crate::staged::sweep;
use crate::store::Only;

/// Folders that are subscribed to, `INBOX.A` lines as Courier writes them.
const SUBSCRIPTIONS: &str = "courierimapsubscribed";

/// Says that a directory is a folder and not a Maildir of its own.
const FOLDER_MARK: &str = "maildirfolder";

/// Directories of folders that are being deleted begin so; two dots cannot
/// begin a folder.
const DELETED_PREFIX: &str = "..deleted.";

/// A Maildir with its folders.
#[derive(Clone, Debug)]
pub struct Account {
    root: PathBuf,
}

impl Account {
    /// Opens the Maildir of a user; [`Error::NoSuchFolder`] when it is not
    /// there.
    pub fn open(maildir: &Path) -> Result<Self> {
        let account = Self {
            root: maildir.to_owned(),
        };
        if account.exists(&FolderName::inbox()) {
            Ok(account)
        } else {
            Err(Error::NoSuchFolder)
        }
    }

    /// Opens the Maildir of a user, and makes it first when it is not there.
    pub fn open_or_create(maildir: &Path) -> Result<Self> {
        match Self::open(maildir) {
            Err(Error::NoSuchFolder) => {
                if let Some(home) = maildir.parent() {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(home)
                        .map_err(Error::io("create", home))?;
                }
                make(maildir)?;
                Self::open(maildir)
            }
            other => other,
        }
    }

    /// Makes these folders and subscribes to them and the inbox, unless the
    /// user has had folders or subscriptions before: what somebody deleted
    /// does not come back.
    pub fn furnish(&self, names: &[FolderName]) -> Result<()> {
        let subscribed = self.root.join(SUBSCRIPTIONS);
        if subscribed.symlink_metadata().is_ok() || 1 < self.folders()?.len() {
            return Ok(());
        }
        for name in names {
            match self.create(name) {
                // Another session does the same.
                Ok(()) | Err(Error::FolderExists) => {}
                Err(error) => return Err(error),
            }
        }
        self.change_subscriptions(|subscribed| {
            subscribed.push(FolderName::inbox());
            subscribed.extend(names.iter().cloned());
        })
    }

    /// Creates a folder. Folders above it need not exist.
    pub fn create(&self, name: &FolderName) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::FolderExists);
        }
        let _lock = lock::account(&self.root)?;
        if self.exists(name) {
            return Err(Error::FolderExists);
        }
        let path = self.path(name);
        make(&path)?;
        let mark = path.join(FOLDER_MARK);
        std::fs::File::create(&mark).map_err(Error::io("create", &mark))?;
        os::file::sync_directory(&self.root).map_err(Error::io("sync", &self.root))
    }

    /// Deletes a folder and its messages. Folders below it stay.
    pub fn delete(&self, name: &FolderName) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::FolderRefused);
        }
        let _lock = lock::account(&self.root)?;
        if !self.exists(name) {
            return Err(Error::NoSuchFolder);
        }
        // Gone at once for everybody, then removed at leisure.
        let doomed = self
            .root
            .join(format!("{DELETED_PREFIX}{:x}", os::clock::random()));
        let path = self.path(name);
        std::fs::rename(&path, &doomed).map_err(Error::io("rename", &path))?;
        os::file::sync_directory(&self.root).map_err(Error::io("sync", &self.root))?;
        self.remove_deleted();
        Ok(())
    }

    /// Renames a folder and all below it. Renaming the inbox moves its
    /// messages to a new folder (RFC 3501 §6.3.5).
    pub fn rename(&self, from: &FolderName, to: &FolderName) -> Result<()> {
        if from.is_inbox() {
            return self.empty_inbox_into(to);
        }
        if to.is_inbox() {
            return Err(Error::FolderExists);
        }
        if to == from || to.is_below(from) {
            return Err(Error::FolderRefused);
        }
        let _lock = lock::account(&self.root)?;
        let mut moves = Vec::new();
        for name in self.folders()? {
            if name == *from || name.is_below(from) {
                let new = name.moved(from, to)?;
                if self.path(&new).symlink_metadata().is_ok() {
                    return Err(Error::FolderExists);
                }
                moves.push((self.path(&name), self.path(&new)));
            }
        }
        if moves.is_empty() {
            return Err(Error::NoSuchFolder);
        }
        for (from, to) in moves {
            std::fs::rename(&from, &to).map_err(Error::io("rename", &from))?;
        }
        os::file::sync_directory(&self.root).map_err(Error::io("sync", &self.root))
    }

    /// Subscribes to a folder, which need not exist.
    pub fn subscribe(&self, name: &FolderName) -> Result<()> {
        self.change_subscriptions(|names| {
            if !names.contains(name) {
                names.push(name.clone());
            }
        })
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&self, name: &FolderName) -> Result<()> {
        self.change_subscriptions(|names| names.retain(|other| other != name))
    }

    /// Folders that are subscribed to, sorted.
    pub fn subscriptions(&self) -> Result<Vec<FolderName>> {
        let path = self.root.join(SUBSCRIPTIONS);
        let lines = match std::fs::read(&path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let mut names: Vec<FolderName> = String::from_utf8_lossy(&lines)
            .lines()
            .filter_map(subscription)
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// All folders, sorted, the inbox first.
    pub fn folders(&self) -> Result<Vec<FolderName>> {
        let mut names = vec![FolderName::inbox()];
        let entries = std::fs::read_dir(&self.root).map_err(Error::io("list", &self.root))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.root))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|n| FolderName::of_directory(n).ok()) else {
                continue;
            };
            if self.exists(&name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Says whether there is such a folder.
    pub fn exists(&self, name: &FolderName) -> bool {
        let path = self.path(name);
        // A folder behind a symbolic link could be another user's.
        let link = !name.is_inbox() && path.symlink_metadata().is_ok_and(|m| m.is_symlink());
        !link && path.join("cur").is_dir() && path.join("new").is_dir()
    }

    /// Opens a folder.
    pub fn open_folder(&self, name: &FolderName, access: Access) -> Result<Mailbox> {
        if !self.exists(name) {
            return Err(Error::NoSuchFolder);
        }
        let path = self.path(name);
        // Programs that clean up may remove an empty `tmp`.
        match std::fs::create_dir(path.join("tmp")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create tmp in", &path)(error));
            }
            _ => {}
        }
        if access == Access::ReadWrite {
            sweep(&path);
        }
        Mailbox::open(&self.root, &path, access)
    }

    /// The Maildir.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a folder.
    pub fn path(&self, name: &FolderName) -> PathBuf {
        match name.directory() {
            "" => self.root.clone(),
            directory => self.root.join(directory),
        }
    }

    fn empty_inbox_into(&self, to: &FolderName) -> Result<()> {
        self.create(to)?;
        let mut inbox = self.open_folder(&FolderName::inbox(), Access::ReadWrite)?;
        let mut target = self.open_folder(to, Access::ReadWrite)?;
        let uids: Vec<u32> = inbox.messages().iter().map(|message| message.uid).collect();
        let pairs = inbox.copy_to(&uids, &mut target)?;
        let copied: Vec<u32> = pairs.into_iter().map(|(uid, _)| uid).collect();
        inbox.expunge(&copied, Only::Any)?;
        Ok(())
    }

    fn change_subscriptions(&self, change: impl FnOnce(&mut Vec<FolderName>)) -> Result<()> {
        let _lock = lock::account(&self.root)?;
        let mut names = self.subscriptions()?;
        change(&mut names);
        let lines: String = names
            .iter()
            .map(|name| match name.is_inbox() {
                true => "INBOX\n".to_owned(),
                false => format!("INBOX{}\n", name.directory()),
            })
            .collect();
        let path = self.root.join(SUBSCRIPTIONS);
        os::file::replace(&path, lines.as_bytes(), 0o600).map_err(Error::io("write", &path))
    }

    /// Removes what deletions left, ours and those a crash cut short.
    fn remove_deleted(&self) {
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| name.starts_with(DELETED_PREFIX))
            {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn subscription(line: &str) -> Option<FolderName> {
    if line == "INBOX" {
        return Some(FolderName::inbox());
    }
    let path = line.strip_prefix("INBOX")?;
    FolderName::of_directory(path).ok()
}

/// Makes a directory with `tmp`, `new` and `cur`; those that exist are left
/// alone. Mode 0700: mail is nobody else's.
fn make(path: &Path) -> Result<()> {
    for path in [
        path.to_owned(),
        path.join("tmp"),
        path.join("new"),
        path.join("cur"),
    ] {
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", &path)(error));
            }
            _ => {}
        }
    }
    os::file::sync_directory(path).map_err(Error::io("sync", path))
}
