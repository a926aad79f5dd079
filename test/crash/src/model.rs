//! A file system in memory that writes down what happens to it.

mod files;
mod maildir;
mod spares;
mod tree;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use nix::libc::{EEXIST, ENOENT};

pub use files::{ModelFile, ModelInput};
pub use maildir::ModelMaildir;
pub use tree::{Content, Effect, FileId, Tree};

use crate::protection::Protection;
use spares::Spares;

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
    /// Syncs that threads share, and files that are written again.
    spares: Option<Spares>,
    /// What is not done, for once.
    without: Option<Protection>,
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
            spares: None,
            without: None,
        })))
    }

    /// Gives every file a name from the start, as on file systems that cannot
    /// do otherwise.
    pub fn with_names(self) -> Self {
        self.0.borrow_mut().has_names = true;
        self
    }

    /// Takes a protection away.
    pub fn without(self, protection: Option<Protection>) -> Self {
        self.0.borrow_mut().without = protection;
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
        Ok(ModelFile::new(self, file, name))
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

    fn sync_content(&self, file: &ModelFile) -> io::Result<()> {
        file.cut()?;
        self.sync(|is_done| Effect::SyncFile(file.file, is_done))
    }

    fn is_without(&self, protection: Protection) -> bool {
        self.0.borrow().without == Some(protection)
    }

    /// Was the last thing that happened a removal from this directory?
    fn is_after_removal(&self, directory: &str) -> bool {
        let state = self.0.borrow();
        let last = state.effects.last();
        matches!(last, Some(Effect::Name(name, None)) if name.starts_with(directory))
    }

    fn names_of(&self, file: FileId) -> Vec<Rc<str>> {
        let state = self.0.borrow();
        let names = state.tree.names.iter();
        names
            .filter(|(_, other)| **other == file)
            .map(|(name, _)| name.clone())
            .collect()
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
