//! Files that are written again: what `queue::Disk` does with threads that
//! share syncs, on the model.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use nix::libc::EEXIST;
use queue::{FileSystem, SparePool};

use super::{Effect, FileId, Model, ModelFile, error, key};
use crate::protection::Protection;

/// Where they are.
const DIRECTORY: &str = "/queue/spare";
/// One of this many syncs is of a thread that is alone.
const ALONE: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct Spares {
    pool: SparePool<Rc<str>>,
    /// Syncs so far; the number of the newest.
    syncs: u64,
    /// The newest of everything that ended well.
    of_everything: u64,
}

/// What is left of another life of a file.
#[derive(Debug)]
pub(super) struct Former {
    /// How long it is.
    bytes: Cell<usize>,
    /// Where the end is now.
    pub(super) written: usize,
    spare: Spare,
}

/// A spare file that was taken, until it is renamed.
#[derive(Debug)]
struct Spare {
    model: Model,
    name: Rc<str>,
    is_renamed: Cell<bool>,
}

impl Model {
    /// The queue writer starts, with threads that share syncs: nothing spare
    /// from before is used.
    pub fn open_spares(&self) {
        self.0.borrow_mut().spares = None;
        let names = self.names_in(DIRECTORY);
        let wiped = names
            .iter()
            .try_for_each(|name| self.unlink(Path::new(&format!("{DIRECTORY}/{name}"))));
        if wiped.is_ok() {
            self.0.borrow_mut().spares = Some(Spares::default());
        }
    }

    pub(super) fn take_spare(&self) -> Option<ModelFile> {
        let without_wait = self.is_without(Protection::SpareWait);
        loop {
            let names = self.names_in(DIRECTORY);
            let name = {
                let mut state = self.0.borrow_mut();
                let spares = state.spares.as_mut()?;
                if !spares.pool.waits() {
                    let names = names.iter().map(|name| Rc::from(&**name));
                    spares.pool.see(names, spares.syncs + 1);
                }
                match without_wait {
                    true => spares.pool.take(u64::MAX)?,
                    false => spares.pool.take(spares.of_everything)?,
                }
            };
            let spare = Spare {
                model: self.clone(),
                name: format!("{DIRECTORY}/{name}").into(),
                is_renamed: Cell::new(false),
            };
            let Ok(file) = self.find(Path::new(&*spare.name)) else {
                continue;
            };
            if self.names_of(file).len() != 1 {
                continue;
            }
            let former = Former {
                bytes: Cell::new(self.content(file).bytes.len()),
                written: 0,
                spare,
            };
            let name = Some(Rc::clone(&former.spare.name));
            let mut file = ModelFile::new(self, file, name);
            file.former = Some(former);
            return Some(file);
        }
    }

    /// As qmail-clean moves it; says whether it was.
    pub(super) fn becomes_spare(&self, name: &Path) -> bool {
        if self.0.borrow().spares.is_none() {
            return false;
        }
        let Ok(file) = self.find(name) else {
            return false;
        };
        let content = self.content(file);
        if content.bytes.is_empty() || self.names_of(file).len() != 1 {
            return false;
        }
        let spare = format!("{DIRECTORY}/{}", content.number);
        self.rename(key(name), spare.into(), file).is_ok()
    }

    /// Some syncs are shared, and of everything.
    pub(super) fn share_sync(&self) -> Option<io::Result<()>> {
        let number = {
            let mut state = self.0.borrow_mut();
            let spares = state.spares.as_mut()?;
            spares.syncs += 1;
            spares.syncs
        };
        if number % ALONE == 0 {
            return None;
        }
        let result = self.sync_everything();
        if let Some(spares) = self
            .0
            .borrow_mut()
            .spares
            .as_mut()
            .filter(|_| result.is_ok())
        {
            spares.of_everything = number;
        }
        Some(result)
    }

    fn rename(&self, from: Rc<str>, to: Rc<str>, file: FileId) -> io::Result<()> {
        self.operation()?;
        let mut state = self.0.borrow_mut();
        if state.tree.names.contains_key(&to) {
            return Err(error(EEXIST));
        }
        state.happens(Effect::Rename(from, to, file));
        Ok(())
    }
}

impl Former {
    /// The file is renamed.
    pub(super) fn becomes(&self, model: &Model, file: FileId, name: Rc<str>) -> io::Result<()> {
        model.rename(Rc::clone(&self.spare.name), name, file)?;
        self.spare.is_renamed.set(true);
        Ok(())
    }
}

impl ModelFile {
    /// Takes away what a former life left behind the end.
    pub(super) fn cut(&self) -> io::Result<()> {
        if self.model.is_without(Protection::SpareCut) {
            return Ok(());
        }
        if let Some(former) = self
            .former
            .as_ref()
            .filter(|former| former.written < former.bytes.get())
        {
            self.model.truncate(self, former.written as u64)?;
            former.bytes.set(former.written);
        }
        Ok(())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if !self.is_renamed.get() {
            let _ = self.model.unlink(Path::new(&*self.name));
        }
        let name = self.name.rsplit('/').next().unwrap_or_default();
        if let Some(spares) = &mut self.model.0.borrow_mut().spares {
            spares.pool.give_back(&Rc::from(name));
        }
    }
}
