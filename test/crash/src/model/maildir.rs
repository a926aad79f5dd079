//! A Maildir on the model.

use std::io;
use std::path::Path;
use std::rc::Rc;

use maildir::deliver::Place;
use queue::FileSystem;

use super::{Model, ModelFile};
use crate::protection::Protection;

/// Everything is on one file system.
const DEVICE: u64 = 1;

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
        let has_names = self.model.0.borrow().has_names;
        let name = self.name("tmp", name);
        self.model.make(has_names.then_some(Path::new(&*name)))
    }

    fn identity(&self, file: &ModelFile) -> io::Result<(u64, u64)> {
        Ok((self.model.inode(file)?, DEVICE))
    }

    fn sync_file(&self, file: &ModelFile) -> io::Result<()> {
        match self.model.is_without(Protection::MailSync) {
            true => Ok(()),
            false => self.model.sync_content(file),
        }
    }

    fn link(&self, file: &ModelFile, _: &str, name: &str) -> io::Result<()> {
        self.model.name(self.name("new", name), file.file)
    }

    fn sync_new(&self, _: &ModelFile) -> io::Result<()> {
        let new = format!("{}/new", self.path);
        self.model.sync_directory(Path::new(&new))
    }

    fn unlink_new(&self, name: &str) -> io::Result<()> {
        self.model.forget(self.name("new", name))
    }

    fn unlink_tmp(&self, file: &ModelFile, _: &str) -> io::Result<()> {
        self.model.drop_first_name(file)
    }
}
