//! Directories, owners, modes and the lock directory.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use os::account::Identity;
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

/// How many subdirectories 0, 1, 2, ... a directory has; `None` for none.
pub fn subdirectories(path: &Path) -> Option<u64> {
    let count = (0..)
        .take_while(|n: &u64| path.join(n.to_string()).is_dir())
        .count();
    (count != 0).then_some(count as u64)
}

impl Fix {
    pub(super) fn tree(&mut self) -> Result<(), Exit> {
        self.directory(PathBuf::new(), Owner::Queue, 0o750)?;
        for (name, owner, mode, _) in DIRECTORIES {
            self.directory(name.into(), owner, mode)?;
            if self.is_split(name) {
                for n in 0..self.split {
                    self.directory(Path::new(name).join(n.to_string()), owner, mode)?;
                }
            }
        }
        for ((name, owner, mode), wish) in [
            (TRASH, self.wishes.trash),
            (RATELIMIT, self.wishes.ratelimit),
        ] {
            if wish || self.root.join(name).exists() {
                self.directory(name.into(), owner, mode)?;
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

    fn directory(&mut self, name: PathBuf, owner: Owner, mode: u32) -> Result<(), Exit> {
        let path = self.root.join(&name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                self.warn(&format!("{} is no directory", path.display()));
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("make directory {}", path.display());
                self.change(Kind::Directories, &what, || {
                    fs::create_dir(&path)?;
                    fs::set_permissions(&path, Permissions::from_mode(mode))
                })?;
            }
            Err(error) => return Err(trouble("stat", &path, &error)),
        }
        self.own(&path, owner)?;
        self.mode(&path, mode)
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

    fn own(&mut self, path: &Path, owner: Owner) -> Result<(), Exit> {
        let (Some(wanted), Ok(found)) = (self.identity(owner), fs::symlink_metadata(path)) else {
            return Ok(());
        };
        let Identity { uid, gid } = wanted;
        if (found.uid(), found.gid()) == (uid, gid) {
            return Ok(());
        }
        let what = format!("give {} to {uid}:{gid}", path.display());
        self.change(Kind::Owners, &what, || lchown(path, Some(uid), Some(gid)))
    }

    fn mode(&mut self, path: &Path, mode: u32) -> Result<(), Exit> {
        let Ok(found) = fs::symlink_metadata(path) else {
            return Ok(());
        };
        if found.mode() & 0o7777 == mode {
            return Ok(());
        }
        let what = format!("set the mode of {} to {mode:04o}", path.display());
        self.change(Kind::Modes, &what, || {
            fs::set_permissions(path, Permissions::from_mode(mode))
        })
    }

    fn locks(&mut self) -> Result<(), Exit> {
        let lock = self.root.join("lock");
        let mutex = lock.join("sendmutex");
        if !mutex.exists() {
            let what = format!("make {}", mutex.display());
            self.change(Kind::Locks, &what, || fs::write(&mutex, b""))?;
        }
        self.own(&mutex, Owner::Send)?;
        self.mode(&mutex, 0o600)?;

        let trigger = lock.join("trigger");
        match fs::symlink_metadata(&trigger) {
            Ok(found) if found.file_type().is_fifo() => {}
            Ok(found) if found.is_dir() => {
                self.warn(&format!("{} is a directory, not a FIFO", trigger.display()));
            }
            found => {
                // A plain file takes what wakes qmail-todo, and nothing wakes.
                let what = format!("make FIFO {}", trigger.display());
                self.change(Kind::Locks, &what, || {
                    if found.is_ok() {
                        fs::remove_file(&trigger)?;
                    }
                    os::file::make_fifo(&trigger, 0o622)
                })?;
            }
        }
        self.own(&trigger, Owner::Send)?;
        self.mode(&trigger, 0o622)?;

        let tcpto = lock.join("tcpto");
        let found = fs::metadata(&tcpto).map(|metadata| metadata.len());
        let is_good = match (&found, self.wishes.tcpto_bytes) {
            (Ok(length), Some(wanted)) => *length == wanted as u64,
            (Ok(length), None) => matches!(length, 1024 | 2048),
            (Err(_), _) => false,
        };
        if !is_good {
            // It is only advice, so an empty one is as good as any.
            let bytes = self.wishes.tcpto_bytes.unwrap_or(queue::TCPTO_BYTES);
            let what = format!("make {} of {bytes} bytes", tcpto.display());
            self.change(Kind::Locks, &what, || fs::write(&tcpto, vec![0; bytes]))?;
        }
        self.own(&tcpto, Owner::Remote)?;
        self.mode(&tcpto, 0o644)
    }

    fn leftovers(&mut self) -> Result<(), Exit> {
        let pid = self.root.join("pid");
        for path in entries(&pid)? {
            self.warn(&format!(
                "{} is left from a queue writer; qmail-clean removes it when it is old",
                path.display()
            ));
        }
        Ok(())
    }

    /// Owners and modes of files.
    fn files(&mut self, name: &str, owner: Owner, mode: u32) -> Result<(), Exit> {
        for path in entries(&self.root.join(name))? {
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            if found.is_dir() {
                for path in entries(&path)? {
                    self.file(&path, owner, mode)?;
                }
            } else if !found.file_type().is_socket() {
                self.file(&path, owner, mode)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, owner: Owner, mode: u32) -> Result<(), Exit> {
        let found = fs::symlink_metadata(path).map_err(|error| trouble("stat", path, &error))?;
        if !found.is_file() {
            self.warn(&format!("{} is no file", path.display()));
            return Ok(());
        }
        self.own(path, owner)?;
        self.mode(path, mode)
    }

    /// Removes subdirectories that the split does not have, once empty.
    pub(super) fn superfluous(&mut self) -> Result<(), Exit> {
        for (name, ..) in DIRECTORIES {
            let base = self.root.join(name);
            let first = if self.is_split(name) { self.split } else { 0 };
            for path in entries(&base)? {
                let number = path
                    .file_name()
                    .and_then(|n| n.to_str()?.parse::<u64>().ok());
                let is_directory = path.symlink_metadata().is_ok_and(|m| m.is_dir());
                if is_directory && number.is_some_and(|number| first <= number) {
                    let what = format!("remove directory {}", path.display());
                    self.change(Kind::Directories, &what, || fs::remove_dir(&path))?;
                }
            }
        }
        Ok(())
    }
}

/// What is in a directory, in order; nothing when it does not exist.
pub fn entries(path: &Path) -> Result<Vec<PathBuf>, Exit> {
    let found = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(|error| trouble("read", path, &error))?,
    };
    let mut paths = Vec::new();
    for entry in found {
        paths.push(entry.map_err(|error| trouble("read", path, &error))?.path());
    }
    paths.sort();
    Ok(paths)
}
