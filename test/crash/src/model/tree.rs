//! What a file system holds, and what can happen to it.

use std::collections::BTreeMap;
use std::rc::Rc;

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
    /// A file has the second name instead of the first.
    Rename(Rc<str>, Rc<str>, FileId),
    /// Content became durable, or could not.
    SyncFile(FileId, bool),
    /// The names of a directory became durable, or could not.
    SyncDirectory(Rc<str>, bool),
    /// Everything became durable, or could not.
    SyncEverything(bool),
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
            Effect::Rename(from, to, file) => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
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
