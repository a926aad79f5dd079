//! What a disk may hold when the power goes.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::{Content, Effect, FileId, Tree};

/// What a file system promises of changes that were not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Journal {
    /// Nothing: each name, and each file's content, may be old or new,
    /// whatever became of the others (btrfs comes closest; POSIX promises no
    /// more).
    None,
    /// Names change in their order, and whatever is synced takes all earlier
    /// changes of names along; content may be old or new (ext4, XFS).
    Names,
}

/// Follows what happened and knows at each moment what is durable, and what
/// more may be.
#[derive(Clone, Debug)]
pub struct Log {
    journal: Journal,
    durable: Tree,
    /// Changes of names since they were synced, in their order. A change
    /// whose sync failed is never durable by a later sync.
    names: Vec<Change<Names>>,
    /// Changes of content, likewise.
    contents: BTreeMap<FileId, Vec<Change<Piece>>>,
}

/// Names that change together, and what they mean then.
type Names = Vec<(Rc<str>, Option<FileId>)>;

#[derive(Clone, Debug)]
struct Change<T> {
    what: T,
    /// A sync of it failed.
    is_doomed: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(usize, Rc<[u8]>),
    Time(i64),
    Cut(usize),
}

/// What became of what was not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Nothing of it.
    Nothing,
    /// All of it.
    All,
    /// The size of the file, but zeros instead of what was added.
    Size,
    /// Half of what was added.
    Half,
    /// All of it, but half of the first write, into what was there before.
    Torn,
    /// Of several writes, the one of this number is missing.
    AllBut(usize),
    /// Of several writes, only the one of this number.
    Only(usize),
}

/// Where a crash can go one way or the other.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Changes of one name, in their order; how many were kept. With
    /// [`Journal::Names`] there is one entry for all names.
    names: Vec<Vec<Names>>,
    /// Files, and what can have become of them.
    files: Vec<(FileId, Vec<Kept>)>,
}

impl Log {
    /// Starts with what is on disk.
    pub fn new(disk: Tree, journal: Journal) -> Self {
        Self {
            journal,
            durable: disk,
            names: Vec::new(),
            contents: BTreeMap::new(),
        }
    }

    /// Something happened.
    pub fn push(&mut self, effect: &Effect) {
        match effect {
            // An inode that nothing refers to is nothing.
            Effect::New(..) => self.durable.apply(effect, 0),
            Effect::Write {
                file,
                offset,
                bytes,
            } => self.change(*file, Piece::Bytes(*offset, bytes.clone())),
            Effect::Time(file, time) => self.change(*file, Piece::Time(*time)),
            Effect::Cut(file, length) => self.change(*file, Piece::Cut(*length)),
            Effect::Name(name, file) => self.change_names(vec![(name.clone(), *file)]),
            Effect::Rename(from, to, file) => {
                let (old, new) = ((from.clone(), None), (to.clone(), Some(*file)));
                match self.journal {
                    Journal::Names => self.change_names(vec![old, new]),
                    // Even this may be torn.
                    Journal::None => {
                        self.change_names(vec![old]);
                        self.change_names(vec![new]);
                    }
                }
            }
            Effect::SyncFile(file, is_done) => {
                self.sync_content(*file, *is_done);
                if self.journal == Journal::Names {
                    self.sync_names(|_| true, *is_done);
                }
            }
            Effect::SyncDirectory(directory, is_done) => {
                let all = self.journal == Journal::Names;
                let parent =
                    |name: &str| name.rsplit_once('/').map(|(parent, _)| parent.to_owned());
                self.sync_names(
                    |name| all || parent(name).as_deref() == Some(directory),
                    *is_done,
                );
            }
            Effect::SyncEverything(is_done) => {
                let files: Vec<_> = self.contents.keys().copied().collect();
                files
                    .iter()
                    .for_each(|file| self.sync_content(*file, *is_done));
                self.sync_names(|_| true, *is_done);
            }
        }
    }

    fn change_names(&mut self, what: Names) {
        self.names.push(Change {
            what,
            is_doomed: false,
        });
    }

    fn change(&mut self, file: FileId, what: Piece) {
        let changes = self.contents.entry(file).or_default();
        changes.push(Change {
            what,
            is_doomed: false,
        });
    }

    fn sync_content(&mut self, file: FileId, is_done: bool) {
        let changes = self.contents.remove(&file).unwrap_or_default();
        let mut left: Vec<Change<Piece>> = Vec::new();
        for mut change in changes {
            if is_done && !change.is_doomed {
                change.what.apply(self.durable.file(file));
                // What was written again is not doomed any more.
                left.retain(|doomed| !change.what.covers(&doomed.what));
            } else {
                change.is_doomed = true;
                left.push(change);
            }
        }
        if !left.is_empty() {
            self.contents.insert(file, left);
        }
    }

    fn sync_names(&mut self, covers: impl Fn(&str) -> bool, is_done: bool) {
        let (covered, mut left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.names)
            .into_iter()
            .partition(|change| covers(&change.what[0].0));
        if !is_done && self.journal == Journal::Names {
            // A journal that could not be written is written later, or never
            // again; it does not forget.
            left.extend(covered);
            self.names = left;
            return;
        }
        if !is_done {
            left.extend(covered.into_iter().map(|change| Change {
                is_doomed: true,
                ..change
            }));
            self.names = left;
            return;
        }
        for (at, change) in covered.iter().enumerate() {
            let name = &change.what[0].0;
            // What was changed again later, and that is durable, is so too.
            let is_overtaken = || {
                let later = &covered[at + 1..];
                later.iter().any(|c| c.what[0].0 == *name && !c.is_doomed)
            };
            if !change.is_doomed {
                apply_names(&mut self.durable, &change.what);
            } else if !is_overtaken() {
                left.push(change.clone());
            }
        }
        self.names = left;
    }

    /// What is open at this moment.
    pub fn choices(&self) -> Choices {
        let changes = self.names.iter().map(|change| change.what.clone());
        let mut names: BTreeMap<Rc<str>, Vec<_>> = BTreeMap::new();
        for change in changes {
            let group = match self.journal {
                Journal::None => change[0].0.clone(),
                Journal::Names => "".into(),
            };
            names.entry(group).or_default().push(change);
        }
        let named = self.durable.names.values().copied();
        let changed = self.names.iter().flat_map(|change| &change.what);
        let named = named.chain(changed.filter_map(|(_, file)| *file));
        let named: Vec<FileId> = named.collect();
        let files = self.contents.iter();
        Choices {
            names: names.into_values().collect(),
            files: files
                .filter(|(file, _)| named.contains(file))
                .map(|(file, changes)| (*file, self.outcomes(*file, changes)))
                .collect(),
        }
    }

    fn outcomes(&self, file: FileId, changes: &[Change<Piece>]) -> Vec<Kept> {
        let mut outcomes = vec![Kept::Nothing, Kept::All];
        let length = self.durable.files[&file].bytes.len();
        if changes.iter().any(|change| length < change.what.end()) {
            outcomes.extend([Kept::Size, Kept::Half]);
        }
        let overwrites = |change: &Change<Piece>| matches!(&change.what, Piece::Bytes(offset, _) if *offset < length);
        if changes.first().is_some_and(overwrites) {
            outcomes.push(Kept::Torn);
        }
        if 1 < changes.len() {
            outcomes.extend((0..changes.len()).map(Kept::AllBut));
        }
        if 2 < changes.len() {
            outcomes.extend((0..changes.len()).map(Kept::Only));
        }
        outcomes
    }

    /// What the disk holds when it went this way.
    pub fn disk(&self, choices: &Choices, way: &[usize]) -> Tree {
        let mut disk = self.durable.clone();
        let (names, files) = way.split_at(choices.names.len());
        for (changes, kept) in choices.names.iter().zip(names) {
            changes[..*kept]
                .iter()
                .for_each(|change| apply_names(&mut disk, change));
        }
        for ((file, outcomes), outcome) in choices.files.iter().zip(files) {
            self.apply(&mut disk, *file, outcomes[*outcome]);
        }
        disk.forget_unnamed();
        disk
    }

    fn apply(&self, disk: &mut Tree, file: FileId, kept: Kept) {
        let changes = &self.contents[&file];
        let content = disk.file(file);
        let durable = content.bytes.len();
        for (at, change) in changes.iter().enumerate() {
            let is_kept = match kept {
                Kept::Nothing => false,
                Kept::All | Kept::Size | Kept::Half => true,
                Kept::Torn => {
                    if at == 0 {
                        change.what.half().apply(content);
                    }
                    at != 0
                }
                Kept::AllBut(missing) => at != missing,
                Kept::Only(one) => at == one,
            };
            if is_kept {
                change.what.apply(content);
            }
        }
        match kept {
            Kept::Size => content
                .bytes
                .iter_mut()
                .skip(durable)
                .for_each(|byte| *byte = 0),
            Kept::Half => content.bytes.truncate((durable + content.bytes.len()) / 2),
            _ => {}
        }
    }
}

impl Choices {
    /// How many ways there are at each place.
    pub fn ways(&self) -> Vec<usize> {
        let names = self.names.iter().map(|changes| changes.len() + 1);
        let files = self.files.iter().map(|(_, outcomes)| outcomes.len());
        names.chain(files).collect()
    }

    /// The way that keeps everything: a process was killed, not the machine.
    pub fn everything(&self) -> Vec<usize> {
        let names = self.names.iter().map(Vec::len);
        names.chain(self.files.iter().map(|_| 1)).collect()
    }
}

impl Piece {
    fn end(&self) -> usize {
        match self {
            Self::Bytes(offset, bytes) => offset + bytes.len(),
            Self::Time(_) | Self::Cut(_) => 0,
        }
    }

    fn half(&self) -> Self {
        match self {
            Self::Bytes(offset, bytes) => Self::Bytes(*offset, bytes[..bytes.len() / 2].into()),
            other => other.clone(),
        }
    }

    /// Leaves nothing of the other one.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(start, _), Self::Bytes(from, _)) => {
                start <= from && other.end() <= self.end()
            }
            (Self::Cut(length), Self::Bytes(from, _)) => length <= from,
            (Self::Cut(_), Self::Cut(_)) | (Self::Time(_), Self::Time(_)) => true,
            _ => false,
        }
    }

    fn apply(&self, content: &mut Content) {
        match self {
            Self::Bytes(offset, bytes) => {
                if content.bytes.len() < self.end() {
                    content.bytes.resize(self.end(), 0);
                }
                content.bytes[*offset..self.end()].copy_from_slice(bytes);
            }
            Self::Time(time) => content.mtime = *time,
            Self::Cut(length) => content.bytes.truncate(*length),
        }
    }
}

fn apply_names(disk: &mut Tree, names: &Names) {
    for (name, file) in names {
        disk.apply(&Effect::Name(name.clone(), *file), 0);
    }
}
