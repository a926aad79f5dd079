//! The model as a file system of the queue.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use nix::libc::EIO;
use queue::{FileSystem, Status};

use super::spares::Former;
use super::{Content, Effect, FileId, Model, error, key};
use crate::protection::Protection;

/// A file being written.
#[derive(Debug)]
pub struct ModelFile {
    pub(super) model: Model,
    pub(super) file: FileId,
    offset: usize,
    first_name: Option<Rc<str>>,
    /// It was another message's.
    pub(super) former: Option<Former>,
}

/// A file being read, as it was when it was opened.
#[derive(Clone, Debug)]
pub struct ModelInput {
    content: Rc<Content>,
    offset: usize,
}

impl ModelFile {
    pub(super) fn new(model: &Model, file: FileId, first_name: Option<Rc<str>>) -> Self {
        Self {
            model: model.clone(),
            file,
            offset: 0,
            first_name,
            former: None,
        }
    }

    /// Unlike the operations of the queue this cannot fail.
    fn end(&self) -> usize {
        self.model.content(self.file).bytes.len()
    }
}

impl Write for ModelFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.model.write_at(self.file, self.offset, bytes)?;
        self.offset += written;
        if let Some(former) = &mut self.former {
            former.written = self.offset;
        }
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
        if let Some(file) = self.take_spare() {
            return Ok(file);
        }
        let has_names = self.0.borrow().has_names;
        self.make(has_names.then_some(name))
    }

    fn inode(&self, file: &ModelFile) -> io::Result<u64> {
        self.operation()?;
        Ok(self.content(file.file).number)
    }

    fn link(&self, file: &ModelFile, name: &Path) -> io::Result<()> {
        match &file.former {
            Some(former) => {
                file.cut()?;
                former.becomes(self, file.file, key(name))
            }
            None => self.name(key(name), file.file),
        }
    }

    fn drop_first_name(&self, file: &ModelFile) -> io::Result<()> {
        match &file.first_name {
            Some(_) if file.former.is_some() => Ok(()),
            Some(name) => self.forget(name.clone()),
            None => Ok(()),
        }
    }

    fn unlink(&self, name: &Path) -> io::Result<()> {
        self.forget(key(name))
    }

    fn finish(&self, name: &Path) -> io::Result<()> {
        match self.becomes_spare(name) {
            true => Ok(()),
            false => self.unlink(name),
        }
    }

    fn sync_file(&self, file: &ModelFile) -> io::Result<()> {
        match self.is_without(Protection::by_file(
            self.names_of(file.file).iter().map(|n| &**n),
        )) {
            true => Ok(()),
            false => self.sync_content(file),
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let directory = key(directory);
        let purpose = Protection::by_directory(&directory, self.is_after_removal(&directory));
        if purpose.is_some_and(|purpose| self.is_without(purpose)) {
            return Ok(());
        }
        self.sync(|is_done| Effect::SyncDirectory(directory.clone(), is_done))
    }

    fn sync_message(&self, files: &[&ModelFile], directory: &Path) -> io::Result<()> {
        files.iter().try_for_each(|file| file.cut())?;
        if let Some(result) = self.share_sync() {
            return result;
        }
        files.iter().try_for_each(|file| self.sync_file(file))?;
        self.sync_directory(directory)
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
        let mut file = ModelFile::new(self, file, None);
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
