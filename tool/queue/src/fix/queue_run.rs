//! One run over one queue.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use os::beneath::{Access, Directory};
use os::file::Lock;
use queue::Owners;
use run::Exit;

use super::{Kind, Wishes, tree, trouble, writers};

/// A queue and what is to be done to it. Names are relative to the queue's
/// directory.
pub struct Fix {
    pub queue: Rc<Directory>,
    pub wishes: Wishes,
    pub owners: Option<Owners>,
    pub split: u64,
    pub todo_is_split: bool,
    /// How many names files have in the queue that have more than one.
    pub names: Option<BTreeMap<(u64, u64), u64>>,
    answers: BTreeMap<Kind, bool>,
    /// Something stays wrong.
    is_left: bool,
}

/// A queue that nobody else works on, until this is dropped.
pub struct Ready {
    fix: Fix,
    _locks: [Option<Lock>; 2],
}

impl Fix {
    pub fn new(root: PathBuf, wishes: &Wishes, owners: Option<Owners>) -> Result<Self, Exit> {
        let queue = Directory::open(&root).map_err(|error| trouble("use queue", &root, &error))?;
        let found = tree::subdirectories(&queue, "mess");
        let split = wishes.split.or(found).unwrap_or(queue::SPLIT_DEFAULT);
        let todo_is_split = tree::is_directory(&queue, "todo/0");
        Ok(Self {
            todo_is_split: wishes.todo_is_split.unwrap_or(todo_is_split),
            queue: Rc::new(queue),
            wishes: wishes.clone(),
            owners,
            split,
            names: None,
            answers: BTreeMap::new(),
            is_left: false,
        })
    }

    /// Makes sure that nobody works on the queue, now and from now on.
    pub fn ready(self) -> Result<Ready, Exit> {
        let root = self.queue.path().to_owned();
        self.look(&format!("queue {}, split {}", root.display(), self.split));
        if let Some(name) = writers::unsuitable_file_system(&root) {
            let why =
                format!("inode numbers of {name} do not last; move the queue to a local disk");
            return Err(trouble("use queue", &root, &why));
        }
        let locks = [self.lock_out_send()?, self.lock_out_queued()?];
        if let Some(writer) = writers::writer(&root) {
            let why = format!("process {writer} is writing a message; stop it first");
            return Err(trouble("use queue", &root, &why));
        }
        Ok(Ready {
            fix: self,
            _locks: locks,
        })
    }

    /// No qmail-send may start while we work. A queue without the file has no
    /// qmail-send either.
    fn lock_out_send(&self) -> Result<Option<Lock>, Exit> {
        let name = Path::new("lock/sendmutex");
        let file = match self.queue.file(name, Access::Append) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| trouble("open", &self.shown(name), &error))?,
        };
        let lock = os::file::try_lock(file);
        self.taken(name, lock, "qmail-send")
    }

    /// qmail-queued has the lock of `spare` while it runs.
    fn lock_out_queued(&self) -> Result<Option<Lock>, Exit> {
        let name = Path::new("spare");
        match self.queue.directory(name) {
            Ok(spare) => self.taken(name, spare.try_lock(), "qmail-queued"),
            // None, or none that qmail-queued could use.
            Err(_) => Ok(None),
        }
    }

    fn taken(
        &self,
        name: &Path,
        lock: io::Result<Option<Lock>>,
        holder: &str,
    ) -> Result<Option<Lock>, Exit> {
        let lock = lock.map_err(|error| trouble("lock", &self.shown(name), &error))?;
        let why = format!("{holder} is running; stop it first");
        let busy = || trouble("use queue", self.queue.path(), &why);
        lock.map(Some).ok_or_else(busy)
    }

    /// Does one thing, unless nothing is to be done; says so either way.
    pub fn change(
        &mut self,
        kind: Kind,
        what: &str,
        act: impl FnOnce(&Directory) -> io::Result<()>,
    ) -> Result<(), Exit> {
        println!("{what}");
        if self.wishes.dry_run || !self.may(kind)? {
            self.is_left = true;
            return Ok(());
        }
        act(&self.queue)
            .map_err(|error| Exit::new(run::TEMPORARY, format!("unable to {what}: {error}")))
    }

    fn may(&mut self, kind: Kind) -> Result<bool, Exit> {
        if !self.wishes.ask {
            return Ok(true);
        }
        if let Some(answer) = self.answers.get(&kind) {
            return Ok(*answer);
        }
        let fatal = |error: io::Error| Exit::new(run::TEMPORARY, format!("cannot ask: {error}"));
        print!("{}? (y/n) ", kind.words());
        io::stdout().flush().map_err(fatal)?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(fatal)?;
        let answer = line.trim_start().starts_with(['y', 'Y']);
        self.answers.insert(kind, answer);
        Ok(answer)
    }

    /// What we cannot mend.
    pub fn warn(&mut self, text: &str) {
        println!("warning: {text}");
        self.is_left = true;
    }

    pub fn look(&self, text: &str) {
        if self.wishes.verbose {
            println!("{text}");
        }
    }

    /// A name as an operator knows it.
    pub fn shown(&self, name: &Path) -> PathBuf {
        match name.as_os_str().is_empty() {
            true => self.queue.path().to_owned(),
            false => self.queue.path().join(name),
        }
    }

    /// Where the file of a message belongs.
    pub fn place(&self, directory: &str, number: u64) -> PathBuf {
        let base = Path::new(directory);
        match self.is_split(directory) {
            true => base
                .join((number % self.split).to_string())
                .join(number.to_string()),
            false => base.join(number.to_string()),
        }
    }

    pub fn is_split(&self, directory: &str) -> bool {
        match directory {
            "mess" | "info" | "local" | "remote" => true,
            "todo" | "intd" => self.todo_is_split,
            _ => false,
        }
    }
}

impl Ready {
    /// A path to the queue that leads to it whatever happens to its name.
    pub fn place_on_disk(&self) -> PathBuf {
        self.fix.queue.lasting_path()
    }

    /// Says whether the queue is good afterwards.
    pub fn everything(self) -> Result<bool, Exit> {
        let mut fix = self.fix;
        fix.tree()?;
        fix.messages()?;
        fix.spare()?;
        fix.superfluous()?;
        if !fix.wishes.dry_run {
            fix.queue
                .sync_file_system()
                .map_err(|error| trouble("sync", fix.queue.path(), &error))?;
        }
        Ok(!fix.is_left)
    }
}
