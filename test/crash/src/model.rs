//! A file system in memory that writes down what happens to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use maildir::deliver::Place;
use nix::libc::{EEXIST, EIO, ENOENT};
use queue::{FileSystem, Status};

/// Everything is on one file system.
const DEVICE: u64 = 1;

/// Identifies a file for ever, unlike its inode number.
pub type FileId = u64;

/// A file.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Content {
    /// Its inode number.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When it was changed.
    pub mtime: i64,
}

/// What a file system holds. Directories are there when they are needed.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Tree {
    /// Names, whole paths.
    pub names: BTreeMap<Rc<str>, FileId>,
    /// Files, with and without a name.
    pub files: BTreeMap<FileId, Rc<Content>>,
}

/// Something that happened. What has no number in a sync is not durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Bytes into a file.
    Write {
        /// Which.
        file: FileId,
        /// Where.
        offset: usize,
        /// What.
        bytes: Rc<[u8]>,
    },
    /// The time of a file.
    Time(FileId, i64),
    /// A file cut off.
    Cut(FileId, usize),
    /// A new file, of this number.
    New(FileId, u64, i64),
    /// A name now means this file, or nothing.
    Name(Rc<str>, Option<FileId>),
    /// Content became durable, or could not.
    SyncFile(FileId, bool),
    /// The names of a directory became durable, or could not.
    SyncDirectory(Rc<str>, bool),
    /// Everything became durable, or could not.
    SyncEverything(bool),
}

/// An error to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// At which operation.
    pub at: u64,
    /// How many operations it lasts.
    pub operations: u64,
    /// Its number.
    pub code: i32,
}

/// The file system. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Model(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    tree: Tree,
    effects: Vec<Effect>,
    times: Vec<i64>,
    next_file: FileId,
    next_number: u64,
    /// Numbers to be given away again.
    free: Option<Vec<u64>>,
    operations: u64,
    fault: Option<Fault>,
    now: i64,
    is_triggered: bool,
    /// Files have names from the start.
    has_names: bool,
}

/// A file being written.
#[derive(Debug)]
pub struct ModelFile {
    model: Model,
    file: FileId,
    offset: usize,
    first_name: Option<Rc<str>>,
}

/// A file being read, as it was when it was opened.
#[derive(Clone, Debug)]
pub struct ModelInput {
    content: Rc<Content>,
    offset: usize,
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn key(path: &Path) -> Rc<str> {
    path.to_str().expect("paths of tests are text").into()
}

impl Model {
    /// A file system that holds this. `reuses_numbers` of files that are
    /// gone, as ext4 and XFS do; else no number is ever given twice, as with
    /// btrfs.
    pub fn new(tree: Tree, now: i64, reuses_numbers: bool) -> Self {
        let next_file = tree.files.keys().max().map_or(1, |id| id + 1);
        let numbers = tree.files.values().map(|file| file.number).max();
        Self(Rc::new(RefCell::new(State {
            next_file,
            // Higher than any that was used before the crash.
            next_number: numbers.map_or(10, |number| number + 1000),
            tree,
            effects: Vec::new(),
            times: Vec::new(),
            free: reuses_numbers.then(Vec::new),
            operations: 0,
            fault: None,
            now,
            is_triggered: true,
            has_names: false,
        })))
    }

    /// Gives every file a name from the start, as on file systems that cannot
    /// do otherwise.
    pub fn with_names(self) -> Self {
        self.0.borrow_mut().has_names = true;
        self
    }

    /// Lets operations fail.
    pub fn with_fault(self, fault: Option<Fault>) -> Self {
        self.0.borrow_mut().fault = fault;
        self
    }

    /// What it holds.
    pub fn tree(&self) -> Tree {
        self.0.borrow().tree.clone()
    }

    /// What happened so far.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.borrow().effects.clone()
    }

    /// When each of them happened.
    pub fn times(&self) -> Vec<i64> {
        self.0.borrow().times.clone()
    }

    /// How much happened so far.
    pub fn happened(&self) -> usize {
        self.0.borrow().effects.len()
    }

    /// Operations so far, also those that failed.
    pub fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.0.borrow().now
    }

    /// Lets time pass.
    pub fn wait_until(&self, time: i64) {
        let mut state = self.0.borrow_mut();
        state.now = state.now.max(time);
    }

    /// Says whether the trigger was pulled.
    pub fn is_triggered(&self) -> bool {
        self.0.borrow().is_triggered
    }

    /// Says whether the trigger was pulled since the last call.
    pub fn take_trigger(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().is_triggered)
    }

    /// The names in a directory.
    pub fn names_in(&self, directory: &str) -> Vec<String> {
        let state = self.0.borrow();
        let first = format!("{directory}/");
        let all = state.tree.names.range::<Rc<str>, _>(Rc::from(&*first)..);
        all.take_while(|(name, _)| name.starts_with(&first))
            .map(|(name, _)| name[first.len()..].to_owned())
            .filter(|name| !name.contains('/'))
            .collect()
    }

    fn operation(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let number = state.operations;
        state.operations += 1;
        match state.fault {
            Some(fault) if (fault.at..fault.at + fault.operations).contains(&number) => {
                Err(error(fault.code))
            }
            _ => Ok(()),
        }
    }

    fn make(&self, name: Option<&Path>) -> io::Result<ModelFile> {
        self.operation()?;
        let name = name.map(key);
        let mut state = self.0.borrow_mut();
        if name
            .as_ref()
            .is_some_and(|name| state.tree.names.contains_key(name))
        {
            return Err(error(EEXIST));
        }
        let reused = state.free.as_mut().and_then(Vec::pop);
        let number = reused.unwrap_or(state.next_number);
        state.next_number += u64::from(reused.is_none());
        let (file, mtime) = (state.next_file, state.now);
        state.next_file += 1;
        state.happens(Effect::New(file, number, mtime));
        if let Some(name) = &name {
            state.happens(Effect::Name(name.clone(), Some(file)));
        }
        drop(state);
        Ok(ModelFile {
            model: self.clone(),
            file,
            offset: 0,
            first_name: name,
        })
    }

    fn find(&self, name: &Path) -> io::Result<FileId> {
        self.operation()?;
        let found = self.0.borrow().tree.names.get(&key(name)).copied();
        found.ok_or_else(|| error(ENOENT))
    }

    fn name(&self, name: Rc<str>, file: FileId) -> io::Result<()> {
        self.operation()?;
        let mut state = self.0.borrow_mut();
        if state.tree.names.contains_key(&name) {
            return Err(error(EEXIST));
        }
        state.happens(Effect::Name(name, Some(file)));
        Ok(())
    }

    fn forget(&self, name: Rc<str>) -> io::Result<()> {
        self.operation()?;
        let mut state = self.0.borrow_mut();
        let Some(&file) = state.tree.names.get(&name) else {
            return Err(error(ENOENT));
        };
        state.happens(Effect::Name(name, None));
        if !state.tree.names.values().any(|other| *other == file) {
            let number = state.tree.files[&file].number;
            state.free.iter_mut().for_each(|free| free.push(number));
        }
        Ok(())
    }

    fn sync(&self, effect: impl Fn(bool) -> Effect) -> io::Result<()> {
        let result = self.operation();
        self.0.borrow_mut().happens(effect(result.is_ok()));
        result
    }

    fn write_at(&self, file: FileId, offset: usize, bytes: &[u8]) -> io::Result<usize> {
        let result = self.operation();
        // A write that fails may have written some of it.
        let written = match result {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 2],
        };
        if !written.is_empty() {
            self.0.borrow_mut().happens(Effect::Write {
                file,
                offset,
                bytes: written.into(),
            });
        }
        result.map(|()| written.len())
    }

    fn content(&self, file: FileId) -> Rc<Content> {
        self.0.borrow().tree.files[&file].clone()
    }
}

impl State {
    fn happens(&mut self, effect: Effect) {
        self.tree.apply(&effect, self.now);
        self.effects.push(effect);
        self.times.push(self.now);
    }
}

impl Tree {
    /// Does what an effect does, now.
    pub fn apply(&mut self, effect: &Effect, now: i64) {
        match effect {
            Effect::New(file, number, mtime) => {
                let content = Content {
                    number: *number,
                    bytes: Vec::new(),
                    mtime: *mtime,
                };
                self.files.insert(*file, Rc::new(content));
            }
            Effect::Write {
                file,
                offset,
                bytes,
            } => {
                let content = self.file(*file);
                let end = offset + bytes.len();
                if content.bytes.len() < end {
                    content.bytes.resize(end, 0);
                }
                content.bytes[*offset..end].copy_from_slice(bytes);
                content.mtime = now;
            }
            Effect::Time(file, time) => self.file(*file).mtime = *time,
            Effect::Cut(file, length) => self.file(*file).bytes.truncate(*length),
            Effect::Name(name, Some(file)) => {
                self.names.insert(name.clone(), *file);
            }
            Effect::Name(name, None) => {
                self.names.remove(name);
            }
            Effect::SyncFile(..) | Effect::SyncDirectory(..) | Effect::SyncEverything(_) => {}
        }
    }

    /// A file, to be changed.
    pub fn file(&mut self, file: FileId) -> &mut Content {
        Rc::make_mut(self.files.get_mut(&file).expect("files are never removed"))
    }

    /// Forgets files without a name.
    pub fn forget_unnamed(&mut self) {
        let mut used: Vec<FileId> = self.names.values().copied().collect();
        used.sort_unstable();
        self.files
            .retain(|file, _| used.binary_search(file).is_ok());
    }
}

impl ModelFile {
    /// Unlike the operations of the queue this cannot fail.
    fn end(&self) -> usize {
        self.model.content(self.file).bytes.len()
    }
}

impl Write for ModelFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.model.write_at(self.file, self.offset, bytes)?;
        self.offset += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ModelInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.read_at(buffer, self.offset as u64)?;
        self.offset += length;
        Ok(length)
    }
}

impl FileExt for ModelInput {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let rest = self.content.bytes.get(from..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(error(EIO))
    }
}

impl FileSystem for Model {
    type File = ModelFile;
    type Input = ModelInput;

    fn create(&self, name: &Path) -> io::Result<ModelFile> {
        let has_names = self.0.borrow().has_names;
        self.make(has_names.then_some(name))
    }

    fn inode(&self, file: &ModelFile) -> io::Result<u64> {
        self.operation()?;
        Ok(self.content(file.file).number)
    }

    fn link(&self, file: &ModelFile, name: &Path) -> io::Result<()> {
        self.name(key(name), file.file)
    }

    fn drop_first_name(&self, file: &ModelFile) -> io::Result<()> {
        match &file.first_name {
            Some(name) => self.forget(name.clone()),
            None => Ok(()),
        }
    }

    fn unlink(&self, name: &Path) -> io::Result<()> {
        self.forget(key(name))
    }

    fn sync_file(&self, file: &ModelFile) -> io::Result<()> {
        self.sync(|is_done| Effect::SyncFile(file.file, is_done))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let directory = key(directory);
        self.sync(|is_done| Effect::SyncDirectory(directory.clone(), is_done))
    }

    fn pull_trigger(&self, _: &Path) {
        self.0.borrow_mut().is_triggered = true;
    }

    fn create_named(&self, name: &Path) -> io::Result<ModelFile> {
        self.make(Some(name))
    }

    fn append(&self, name: &Path) -> io::Result<ModelFile> {
        let file = match self.find(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.make(Some(name));
            }
            found => found?,
        };
        let mut file = ModelFile {
            model: self.clone(),
            file,
            offset: 0,
            first_name: None,
        };
        file.offset = file.end();
        Ok(file)
    }

    fn truncate(&self, file: &ModelFile, bytes: u64) -> io::Result<()> {
        self.operation()?;
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.0.borrow_mut().happens(Effect::Cut(file.file, bytes));
        Ok(())
    }

    fn overwrite(&self, name: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.find(name)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.write_at(file, offset, bytes).map(drop)
    }

    fn set_mtime(&self, file: &ModelFile, time: i64) -> io::Result<()> {
        self.operation()?;
        self.0.borrow_mut().happens(Effect::Time(file.file, time));
        Ok(())
    }

    fn open(&self, name: &Path) -> io::Result<ModelInput> {
        let file = self.find(name)?;
        Ok(ModelInput {
            content: self.content(file),
            offset: 0,
        })
    }

    fn status_of(&self, input: &ModelInput) -> io::Result<Status> {
        self.operation()?;
        Ok(Status {
            bytes: input.content.bytes.len() as u64,
            mtime: input.content.mtime,
        })
    }

    fn status(&self, name: &Path) -> io::Result<Status> {
        let content = self.content(self.find(name)?);
        Ok(Status {
            bytes: content.bytes.len() as u64,
            mtime: content.mtime,
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<u64>> {
        self.operation()?;
        let names = self.names_in(&key(directory));
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.sync(Effect::SyncEverything)
    }
}

/// A maildir on the model.
#[derive(Clone, Debug)]
pub struct ModelMaildir {
    /// Where.
    pub model: Model,
    /// Its path.
    pub path: String,
}

impl ModelMaildir {
    fn name(&self, directory: &str, name: &str) -> Rc<str> {
        format!("{}/{directory}/{name}", self.path).into()
    }
}

impl Place for ModelMaildir {
    type File = ModelFile;

    fn create(&self, name: &str) -> io::Result<ModelFile> {
        self.model.make(Some(Path::new(&*self.name("tmp", name))))
    }

    fn identity(&self, file: &ModelFile) -> io::Result<(u64, u64)> {
        Ok((self.model.inode(file)?, DEVICE))
    }

    fn sync_file(&self, file: &ModelFile) -> io::Result<()> {
        self.model.sync_file(file)
    }

    fn link(&self, temporary: &str, name: &str) -> io::Result<()> {
        let file = self.model.find(Path::new(&*self.name("tmp", temporary)))?;
        self.model.name(self.name("new", name), file)
    }

    fn sync_new(&self, _: &ModelFile) -> io::Result<()> {
        let new = format!("{}/new", self.path);
        self.model.sync_directory(Path::new(&new))
    }

    fn unlink_new(&self, name: &str) -> io::Result<()> {
        self.model.forget(self.name("new", name))
    }

    fn unlink_tmp(&self, name: &str) -> io::Result<()> {
        self.model.forget(self.name("tmp", name))
    }
}
