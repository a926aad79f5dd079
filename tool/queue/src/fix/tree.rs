//! Directories, owners, modes and the lock directory.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use os::account::Identity;
use os::beneath::{Directory, Entry};
use run::Exit;

use super::{Fix, Kind, trouble};

/// Who a part belongs to.
#[derive(Clone, Copy)]
pub enum Owner {
    Queue,
    Send,
    Remote,
}

/// Name, owner, mode of the directory, mode of files in it
/// (queue-and-delivery.md §2.2).
const DIRECTORIES: [(&str, Owner, u32, u32); 10] = [
    ("pid", Owner::Queue, 0o700, 0o644),
    ("mess", Owner::Queue, 0o750, 0o644),
    ("intd", Owner::Queue, 0o700, 0o644),
    ("todo", Owner::Queue, 0o750, 0o644),
    ("info", Owner::Send, 0o700, 0o600),
    ("local", Owner::Send, 0o700, 0o600),
    ("remote", Owner::Send, 0o700, 0o600),
    ("bounce", Owner::Send, 0o700, 0o600),
    ("hold", Owner::Send, 0o700, 0o600),
    ("lock", Owner::Queue, 0o750, 0),
];
/// Those that are made only when they are asked for.
const TRASH: (&str, Owner, u32) = ("trash", Owner::Queue, 0o700);
const RATELIMIT: (&str, Owner, u32) = ("ratelimit", Owner::Send, 0o750);
/// Directories between which files have two names for a moment, which a crash
/// may make last.
const LINKED: [&str; 4] = ["pid", "mess", "intd", "todo"];

/// How many subdirectories 0, 1, 2, ... a directory has; `None` for none.
pub fn subdirectories(queue: &Directory, name: &str) -> Option<u64> {
    let count = (0..)
        .take_while(|n: &u64| is_directory(queue, format!("{name}/{n}")))
        .count();
    (count != 0).then_some(count as u64)
}

/// Says whether a name is that of a directory.
pub fn is_directory(queue: &Directory, name: impl AsRef<Path>) -> bool {
    queue
        .entry(name)
        .is_ok_and(|found| found.metadata().is_dir())
}

impl Fix {
    pub(super) fn tree(&mut self) -> Result<(), Exit> {
        self.directory(Path::new(""), Owner::Queue, 0o750)?;
        for (name, owner, mode, _) in DIRECTORIES {
            self.directory(Path::new(name), owner, mode)?;
            if self.is_split(name) {
                for n in 0..self.split {
                    self.directory(&Path::new(name).join(n.to_string()), owner, mode)?;
                }
            }
        }
        for ((name, owner, mode), wish) in [
            (TRASH, self.wishes.trash),
            (RATELIMIT, self.wishes.ratelimit),
        ] {
            if wish || self.find(Path::new(name))?.is_some() {
                self.directory(Path::new(name), owner, mode)?;
            }
        }
        self.locks()?;
        for (name, owner, _, mode) in DIRECTORIES {
            match name {
                "pid" => self.leftovers()?,
                "lock" => {}
                _ => self.files(name, owner, mode)?,
            }
        }
        Ok(())
    }

    pub(super) fn directory(&mut self, name: &Path, owner: Owner, mode: u32) -> Result<(), Exit> {
        let shown = self.shown(name);
        match self.find(name)? {
            Some(found) if found.metadata().is_dir() => {}
            Some(_) => {
                self.warn(&format!("{} is no directory", shown.display()));
                return Ok(());
            }
            None => {
                let what = format!("make directory {}", shown.display());
                self.change(Kind::Directories, &what, |queue| {
                    queue.make_directory(name, mode)
                })?;
            }
        }
        self.settle(name, owner, mode)
    }

    /// What has a name; a name below what is no directory is that of nothing.
    fn find(&self, name: &Path) -> Result<Option<Entry>, Exit> {
        match self.queue.find(name) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            found => found.map_err(|error| trouble("stat", &self.shown(name), &error)),
        }
    }

    fn identity(&self, owner: Owner) -> Option<Identity> {
        let owners = self.owners?;
        let uid = match owner {
            Owner::Queue => owners.qmailq.uid,
            Owner::Send => owners.qmails.uid,
            Owner::Remote => owners.qmailr.uid,
        };
        // The group is always that of the queue.
        let gid = owners.qmailq.gid;
        Some(Identity { uid, gid })
    }

    /// Owner and mode of what has a name.
    fn settle(&mut self, name: &Path, owner: Owner, mode: u32) -> Result<(), Exit> {
        let Some(found) = self.find(name)? else {
            return Ok(());
        };
        let shown = self.shown(name);
        let wanted = self
            .identity(owner)
            .filter(|wanted| *wanted != found.owner());
        if wanted.is_none() && found.mode() == mode {
            return Ok(());
        }
        let found = self.with_known_names(found)?;
        if found.metadata().is_symlink() || found.is_shared() {
            self.warn(&format!(
                "{} has another name elsewhere or leads there: it may be somebody else's file",
                shown.display()
            ));
            return Ok(());
        }
        if let Some(wanted) = wanted {
            let what = format!("give {} to {}:{}", shown.display(), wanted.uid, wanted.gid);
            self.change(Kind::Owners, &what, |_| found.give(wanted))?;
        }
        if found.mode() == mode {
            return Ok(());
        }
        let what = format!("set the mode of {} to {mode:04o}", shown.display());
        self.change(Kind::Modes, &what, |_| found.set_mode(mode))
    }

    /// A crash leaves files with two names in the queue; those are known.
    fn with_known_names(&mut self, found: Entry) -> Result<Entry, Exit> {
        if !found.is_shared() {
            return Ok(found);
        }
        if self.names.is_none() {
            self.names = Some(self.count_names()?);
        }
        let key = (found.metadata().dev(), found.metadata().ino());
        let known = self.names.as_ref().and_then(|names| names.get(&key));
        let known = known.copied().unwrap_or(1);
        Ok(found.with_names(known))
    }

    fn count_names(&self) -> Result<BTreeMap<(u64, u64), u64>, Exit> {
        let mut names = BTreeMap::new();
        for directory in LINKED {
            let mut open = vec![PathBuf::from(directory)];
            while let Some(directory) = open.pop() {
                for name in self.entries(&directory)? {
                    let Some(found) = self.find(&name)? else {
                        continue;
                    };
                    let metadata = found.metadata();
                    if metadata.is_dir() && name.components().count() == 2 {
                        open.push(name);
                    } else if metadata.is_file() && found.is_shared() {
                        *names.entry((metadata.dev(), metadata.ino())).or_insert(0) += 1;
                    }
                }
            }
        }
        Ok(names)
    }

    fn locks(&mut self) -> Result<(), Exit> {
        let mutex = Path::new("lock/sendmutex");
        if self.find(mutex)?.is_none() {
            let what = format!("make {}", self.shown(mutex).display());
            self.change(Kind::Locks, &what, |queue| {
                queue.create(mutex, 0o600).map(drop)
            })?;
        }
        self.file(mutex, Owner::Send, 0o600)?;
        self.trigger()?;
        self.tcpto()
    }

    fn trigger(&mut self) -> Result<(), Exit> {
        let trigger = Path::new("lock/trigger");
        match self.find(trigger)? {
            Some(found) if found.metadata().file_type().is_fifo() => {}
            Some(found) if found.metadata().is_dir() => {
                let shown = self.shown(trigger);
                self.warn(&format!("{} is a directory, not a FIFO", shown.display()));
                return Ok(());
            }
            found => {
                // A plain file takes what wakes qmail-todo, and nothing wakes.
                let what = format!("make FIFO {}", self.shown(trigger).display());
                self.change(Kind::Locks, &what, |queue| {
                    if found.is_some() {
                        queue.remove_file(trigger)?;
                    }
                    queue.make_fifo(trigger, 0o622)
                })?;
            }
        }
        match self.find(trigger)? {
            Some(found) if found.metadata().file_type().is_fifo() => {
                self.settle(trigger, Owner::Send, 0o622)
            }
            _ => Ok(()),
        }
    }

    fn tcpto(&mut self) -> Result<(), Exit> {
        let tcpto = Path::new("lock/tcpto");
        let found = self.find(tcpto)?;
        let length = match &found {
            Some(found) if !found.metadata().is_file() => {
                let shown = self.shown(tcpto);
                self.warn(&format!("{} is no file", shown.display()));
                return Ok(());
            }
            found => found.as_ref().map(|found| found.metadata().len()),
        };
        let is_good = match (length, self.wishes.tcpto_bytes) {
            (Some(length), Some(wanted)) => length == wanted as u64,
            (Some(length), None) => matches!(length, 1024 | 2048),
            (None, _) => false,
        };
        if !is_good {
            // It is only advice, so an empty one is as good as any. A new
            // file: the old one may have names elsewhere.
            let bytes = self.wishes.tcpto_bytes.unwrap_or(queue::TCPTO_BYTES);
            let what = format!("make {} of {bytes} bytes", self.shown(tcpto).display());
            self.change(Kind::Locks, &what, |queue| {
                if length.is_some() {
                    queue.remove_file(tcpto)?;
                }
                queue.create(tcpto, 0o644)?.write_all(&vec![0; bytes])
            })?;
        }
        self.file(tcpto, Owner::Remote, 0o644)
    }

    fn leftovers(&mut self) -> Result<(), Exit> {
        for name in self.entries(Path::new("pid"))? {
            self.warn(&format!(
                "{} is left from a queue writer; qmail-clean removes it when it is old",
                self.shown(&name).display()
            ));
        }
        Ok(())
    }

    /// Owners and modes of files.
    fn files(&mut self, directory: &str, owner: Owner, mode: u32) -> Result<(), Exit> {
        for name in self.entries(Path::new(directory))? {
            let Some(found) = self.find(&name)? else {
                continue;
            };
            if found.metadata().is_dir() {
                for name in self.entries(&name)? {
                    self.file(&name, owner, mode)?;
                }
            } else if !found.metadata().file_type().is_socket() {
                self.file(&name, owner, mode)?;
            }
        }
        Ok(())
    }

    pub(super) fn file(&mut self, name: &Path, owner: Owner, mode: u32) -> Result<(), Exit> {
        match self.find(name)? {
            Some(found) if !found.metadata().is_file() => {
                let shown = self.shown(name);
                self.warn(&format!("{} is no file", shown.display()));
                Ok(())
            }
            Some(_) => self.settle(name, owner, mode),
            None => Ok(()),
        }
    }

    /// Removes subdirectories that the split does not have, once empty.
    pub(super) fn superfluous(&mut self) -> Result<(), Exit> {
        for (directory, ..) in DIRECTORIES {
            let first = if self.is_split(directory) {
                self.split
            } else {
                0
            };
            for name in self.entries(Path::new(directory))? {
                let number = name
                    .file_name()
                    .and_then(|n| n.to_str()?.parse::<u64>().ok());
                if number.is_some_and(|number| first <= number) && is_directory(&self.queue, &name)
                {
                    let what = format!("remove directory {}", self.shown(&name).display());
                    self.change(Kind::Directories, &what, |queue| {
                        queue.remove_directory(&name)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What is in a directory, in order; nothing when there is none.
    pub(super) fn entries(&self, directory: &Path) -> Result<Vec<PathBuf>, Exit> {
        if !is_directory(&self.queue, directory) {
            return Ok(Vec::new());
        }
        let names = self.queue.names(directory);
        let names = names.map_err(|error| trouble("read", &self.shown(directory), &error))?;
        Ok(names.iter().map(|name| directory.join(name)).collect())
    }
}
