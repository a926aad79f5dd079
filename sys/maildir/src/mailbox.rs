//! One open folder, as one session sees it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::import;
use crate::index::{Effect, Index, Message, Record, State, next_uid_validity};
use crate::name::{FileName, Place};
use crate::scan::{Files, Stamp, scan};
use crate::wire;

/// How often a file that moved is looked for before we give up.
pub(crate) const TRIES_MAX: usize = 5;

/// Name of the lock of a folder.
const LOCK_FILE: &str = "indimail.lock";

/// May the session change anything?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It may; messages move from `new` to `cur` and are recent for it.
    ReadWrite,
    /// It only looks. (UIDs are given to new messages nevertheless.)
    ReadOnly,
}

/// What happened since [`Mailbox::refresh`] was called last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// UIDs of new messages, ascending.
    pub new: Vec<u32>,
    /// UIDs of messages with other flags, ascending, without those the session
    /// changed itself.
    pub flags: Vec<u32>,
    /// UIDs of messages that are gone, ascending, without those the session
    /// expunged itself.
    pub vanished: Vec<u32>,
}

impl Changes {
    /// Says whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.flags.is_empty() && self.vanished.is_empty()
    }

    pub(crate) fn note(&mut self, effect: Effect) {
        match effect {
            Effect::New(uid) => self.new.push(uid),
            Effect::Flags(uid) => self.flags.push(uid),
            Effect::Vanished(uid) => self.vanished.push(uid),
            Effect::None => {}
        }
    }

    fn sorted(mut self, state: &State) -> Self {
        for list in [&mut self.new, &mut self.flags, &mut self.vanished] {
            list.sort_unstable();
            list.dedup();
        }
        // A message that came and went between two looks was never there.
        let (new, gone) = (&self.new, &self.vanished);
        let never: BTreeSet<u32> = gone
            .iter()
            .copied()
            .filter(|uid| new.binary_search(uid).is_ok())
            .collect();
        self.vanished.retain(|uid| !never.contains(uid));
        self.new.retain(|&uid| state.message(uid).is_some());
        let new = &self.new;
        self.flags
            .retain(|&uid| state.message(uid).is_some() && new.binary_search(&uid).is_err());
        self
    }
}

/// An open folder.
///
/// [`Mailbox::messages`] is what is known now, and any call may learn more.
/// Sequence numbers are the session's own: it applies [`Changes`] when its
/// protocol allows, and asks for messages by UID.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) folder: PathBuf,
    pub(crate) access: Access,
    pub(crate) index: Index,
    pub(crate) pending: Changes,
    pub(crate) recent: BTreeSet<u32>,
    stamp: Option<(i128, i128)>,
}

impl Mailbox {
    /// Opens the folder at `folder` of the Maildir at `root`, and looks at
    /// what is in it.
    pub(crate) fn open(root: &Path, folder: &Path, access: Access) -> Result<Self> {
        let index = match Index::load(folder)? {
            Some(index) => index,
            None => begin(root, folder)?,
        };
        let mut mailbox = Self {
            folder: folder.to_owned(),
            access,
            stamp: index.state.stamp,
            index,
            pending: Changes::default(),
            recent: BTreeSet::new(),
        };
        mailbox.refresh()?;
        Ok(mailbox)
    }

    /// Looks at what other sessions, deliveries and programs have done, and
    /// tells everything that happened since the last call.
    pub fn refresh(&mut self) -> Result<Changes> {
        self.follow()?;
        let now = Stamp::of(&self.folder)?;
        let unchanged = self.stamp.is_some_and(|stamp| now.settled() == Some(stamp));
        if !unchanged || self.has_claims() {
            self.rescan()?;
        }
        Ok(std::mem::take(&mut self.pending).sorted(&self.index.state))
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.index.uid_validity()
    }

    /// UIDNEXT.
    pub fn uid_next(&self) -> u32 {
        self.index.state.uid_next
    }

    /// HIGHESTMODSEQ (RFC 7162); at least 1.
    pub fn highest_modseq(&self) -> u64 {
        self.index.state.highest_modseq.max(1)
    }

    /// All messages by UID.
    pub fn messages(&self) -> &[Message] {
        &self.index.state.messages
    }

    /// The message with this UID.
    pub fn message(&self, uid: u32) -> Option<&Message> {
        self.index.state.message(uid)
    }

    /// Says whether this session is the first to see the message.
    pub fn is_recent(&self, uid: u32) -> bool {
        self.recent.contains(&uid)
            || self.access == Access::ReadOnly
                && self
                    .message(uid)
                    .is_some_and(|message| message.name.place() == Place::New)
    }

    /// Keywords of the folder by number, as bits of
    /// [`crate::Flags::keywords`] count them.
    pub fn keywords(&self) -> &[String] {
        &self.index.state.keywords
    }

    /// The names of these keyword bits.
    pub fn keyword_names(&self, bits: u64) -> impl Iterator<Item = &str> {
        let names = self.index.state.keywords.iter().enumerate();
        names
            .filter(move |(number, _)| bits & (1 << number) != 0)
            .map(|(_, name)| name.as_str())
    }

    /// UIDs expunged after a modification sequence, ascending; `None` when
    /// that is too long ago to know.
    pub fn vanished_since(&self, modseq: u64) -> Option<Vec<u32>> {
        let state = &self.index.state;
        if modseq < state.forgotten {
            return None;
        }
        let gone = state.expunged.iter().filter(|(_, at)| modseq < *at);
        let mut uids: Vec<u32> = gone.map(|(uid, _)| *uid).collect();
        uids.sort_unstable();
        Some(uids)
    }

    /// How the session may use the folder.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Directories to watch for changes (inotify: create, move, delete).
    pub fn watch_paths(&self) -> [PathBuf; 2] {
        [self.folder.join("new"), self.folder.join("cur")]
    }

    /// Opens the file of a message.
    pub fn open_message(&mut self, uid: u32) -> Result<File> {
        for _ in 0..TRIES_MAX {
            let message = self.message(uid).ok_or(Error::NoSuchMessage(uid))?;
            let path = message.name.path(&self.folder);
            match open_file(&path) {
                Ok(file) => return Ok(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.rescan()?,
                Err(error) => return Err(Error::io("open", &path)(error)),
            }
        }
        Err(Error::Contended(uid))
    }

    /// Reads a message with CR LF line ends.
    pub fn read_message(&mut self, uid: u32) -> Result<Vec<u8>> {
        let mut file = self.open_message(uid)?;
        let mut message = Vec::new();
        file.read_to_end(&mut message)
            .map_err(Error::io("read a message in", &self.folder))?;
        Ok(wire::to_crlf(&message))
    }

    /// Counts the bytes of messages with CR LF line ends where that is not
    /// known yet, so that [`Message::wire_size`] is there. A message that
    /// cannot be read is left as it is.
    pub fn measure(&mut self, uids: &[u32]) -> Result<()> {
        let mut sizes = Vec::new();
        for &uid in uids {
            let unknown = self.message(uid).is_some_and(|m| m.wire_size.is_none());
            if !unknown {
                continue;
            }
            match self.open_message(uid) {
                Ok(mut file) => {
                    let size = wire::size(&mut file)
                        .map_err(Error::io("read a message in", &self.folder))?;
                    sizes.push(Record::WireSize { uid, size });
                }
                Err(Error::NoSuchMessage(_) | Error::Contended(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !sizes.is_empty() {
            let _lock = self.lock()?;
            self.append(sizes)?;
        }
        Ok(())
    }

    /// Bytes of a message with CR LF line ends.
    pub fn wire_size(&mut self, uid: u32) -> Result<u64> {
        self.measure(&[uid])?;
        self.message(uid)
            .and_then(|message| message.wire_size)
            .ok_or(Error::NoSuchMessage(uid))
    }

    /// Takes the folder's lock, and learns everything that was written before.
    pub(crate) fn lock(&mut self) -> Result<os::file::Lock> {
        let lock = lock(&self.folder)?;
        self.follow()?;
        self.index.mend()?;
        Ok(lock)
    }

    /// Appends records whose effects the next `refresh` tells. The caller has
    /// the lock.
    pub(crate) fn append(&mut self, records: Vec<Record>) -> Result<()> {
        let pending = &mut self.pending;
        self.index.append(records, |effect| pending.note(effect))
    }

    /// Looks at the directories and records what differs.
    pub(crate) fn rescan(&mut self) -> Result<()> {
        let seen = scan(&self.folder)?;
        if self.mirrors(&seen.files) && !self.has_claims() {
            self.stamp = seen.stamp.settled();
            return self.note_stamp();
        }
        let _lock = self.lock()?;
        self.rescan_locked()
    }

    /// As `rescan`, for a caller that has the lock.
    pub(crate) fn rescan_locked(&mut self) -> Result<()> {
        let mut seen = scan(&self.folder)?;
        let all_there = |files: &Files, mailbox: &Self| {
            let mut messages = mailbox.messages().iter();
            messages.all(|message| files.contains_key(message.name.base()))
        };
        if !all_there(&seen.files, self) {
            // A file renamed by another program while we list may be missed.
            let again = scan(&self.folder)?;
            seen.files.extend(again.files);
        }
        self.stamp = seen.stamp.settled();
        let records = self.differences(seen.files)?;
        self.append(records)?;
        if self.access == Access::ReadWrite {
            self.claim()?;
        }
        Ok(())
    }

    /// Learns what other sessions wrote into the index.
    fn follow(&mut self) -> Result<()> {
        let pending = &mut self.pending;
        if self.index.follow(|effect| pending.note(effect))? {
            return Ok(());
        }
        let Some(new) = Index::load(&self.folder)? else {
            return Err(Error::Rebuilt);
        };
        if new.uid_validity() != self.index.uid_validity() {
            return Err(Error::Rebuilt);
        }
        let old = std::mem::replace(&mut self.index, new);
        compare(&old.state, &self.index.state, |effect| {
            self.pending.note(effect);
        });
        Ok(())
    }

    /// Says whether the files are exactly what we know.
    fn mirrors(&self, files: &Files) -> bool {
        let messages = self.messages();
        messages.len() == files.len()
            && messages.iter().all(|message| {
                files
                    .get(message.name.base())
                    .is_some_and(|name| *name == message.name)
            })
    }

    /// Records that make the index say what the files say.
    fn differences(&self, mut files: Files) -> Result<Vec<Record>> {
        let state = &self.index.state;
        let modseq = state.modseq_next();
        let mut records = Vec::new();
        for message in &state.messages {
            match files.remove(message.name.base()) {
                Some(name) if name == message.name => {}
                Some(name) => records.push(Record::Update {
                    uid: message.uid,
                    modseq: if name.suffix() == message.name.suffix() {
                        message.modseq
                    } else {
                        modseq
                    },
                    keywords: message.flags.keywords,
                    place: name.place(),
                    suffix: name.suffix().to_vec(),
                }),
                None => records.push(Record::Expunge {
                    uid: message.uid,
                    modseq,
                }),
            }
        }
        records.extend(adds(&self.folder, state.uid_next, modseq, files)?);
        Ok(records)
    }

    fn has_claims(&self) -> bool {
        let mut messages = self.messages().iter();
        self.access == Access::ReadWrite && messages.any(|m| m.name.place() == Place::New)
    }

    /// Moves messages from `new` to `cur`; they are recent for this session
    /// only, because only one of several renames succeeds.
    fn claim(&mut self) -> Result<()> {
        let mut records = Vec::new();
        for message in &self.index.state.messages {
            if message.name.place() == Place::Cur {
                continue;
            }
            let name = if message.name.suffix().is_empty() {
                message.name.with_suffix(Place::Cur, b":2,")
            } else {
                message.name.with_suffix(Place::Cur, message.name.suffix())
            };
            let from = message.name.path(&self.folder);
            match std::fs::rename(&from, name.path(&self.folder)) {
                Ok(()) => {
                    self.recent.insert(message.uid);
                    records.push(Record::Update {
                        uid: message.uid,
                        modseq: message.modseq,
                        keywords: message.flags.keywords,
                        place: Place::Cur,
                        suffix: name.suffix().to_vec(),
                    });
                }
                // Somebody else was faster; the next look finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.stamp = None,
                Err(error) => return Err(Error::io("rename", &from)(error)),
            }
        }
        if !records.is_empty() {
            self.stamp = None;
        }
        self.append(records)
    }

    /// Tells later sessions that they need not look, if nobody writes now.
    fn note_stamp(&mut self) -> Result<()> {
        let Some(stamp) = self.stamp.filter(|_| self.stamp != self.index.state.stamp) else {
            return Ok(());
        };
        let Some(_lock) = os::file::try_lock(lock_file(&self.folder)?)
            .map_err(Error::io("lock", &self.folder))?
        else {
            return Ok(());
        };
        self.follow()?;
        self.index.mend()?;
        if self.index.state.stamp == Some(stamp) {
            return Ok(());
        }
        self.append(vec![Record::Stamp {
            new: stamp.0,
            cur: stamp.1,
        }])
    }
}

/// Makes the first index of a folder, with UIDs of another server if it left
/// any.
fn begin(root: &Path, folder: &Path) -> Result<Index> {
    let _lock = lock(folder)?;
    if let Some(index) = Index::load(folder)? {
        return Ok(index);
    }
    let imported = import::uids(folder);
    let uid_validity = match &imported {
        Some(imported) => imported.uid_validity,
        None => {
            let _account = account_lock(root)?;
            next_uid_validity(&root.join("indimail.uidvalidity"))?
        }
    };
    let mut state = State {
        uid_next: 1,
        ..State::default()
    };
    let modseq = state.modseq_next();
    state.forgotten = modseq;
    state.highest_modseq = modseq;
    for (number, name) in import::keywords(folder).into_iter().enumerate() {
        let number = number as u8;
        state.apply(Record::Keyword { number, name });
    }
    if let Some(imported) = imported {
        let files = scan(folder)?.files;
        let mut known: Vec<(u32, FileName)> = files
            .into_iter()
            .filter_map(|(base, name)| Some((*imported.uids.get(&base[..])?, name)))
            .collect();
        known.sort_unstable_by_key(|(uid, _)| *uid);
        for (uid, name) in known {
            if let Some(record) = add(folder, uid, modseq, name)? {
                state.apply(record);
            }
        }
        state.uid_next = state.uid_next.max(imported.uid_next);
    }
    Index::create(folder, uid_validity, &state)
}

/// Gives UIDs to files, in the order the messages arrived.
fn adds(folder: &Path, uid_next: u32, modseq: u64, files: Files) -> Result<Vec<Record>> {
    let mut names: Vec<FileName> = files.into_values().collect();
    names.sort_unstable_by(|a, b| a.arrival().cmp(&b.arrival()));
    let mut records = Vec::with_capacity(names.len());
    let mut uid = uid_next;
    for name in names {
        if uid == u32::MAX {
            return Err(Error::UidsExhausted);
        }
        if let Some(record) = add(folder, uid, modseq, name)? {
            records.push(record);
            uid += 1;
        }
    }
    Ok(records)
}

/// The record of a file; asks the file only for what its name does not say.
/// `None` when it is gone.
fn add(folder: &Path, uid: u32, modseq: u64, name: FileName) -> Result<Option<Record>> {
    let (size, internal_date) = match (name.size(), name.seconds()) {
        (Some(size), Some(seconds)) => (size, seconds),
        _ => {
            let path = name.path(folder);
            match std::fs::symlink_metadata(&path) {
                Ok(metadata) => (
                    metadata.len(),
                    name.seconds().unwrap_or_else(|| metadata.mtime()),
                ),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("stat", &path)(error)),
            }
        }
    };
    Ok(Some(Record::Add {
        uid,
        modseq,
        size,
        wire_size: name.wire_size(),
        internal_date,
        keywords: 0,
        name,
    }))
}

/// Tells how one state differs from another.
fn compare(old: &State, new: &State, mut effect: impl FnMut(Effect)) {
    for message in &old.messages {
        match new.message(message.uid) {
            None => effect(Effect::Vanished(message.uid)),
            Some(now) if now.flags != message.flags => effect(Effect::Flags(message.uid)),
            Some(_) => {}
        }
    }
    let last = old.messages.last().map_or(0, |message| message.uid);
    for message in new.messages.iter().rev() {
        if message.uid <= last {
            break;
        }
        effect(Effect::New(message.uid));
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}

fn lock_file(folder: &Path) -> Result<File> {
    open_lock(&folder.join(LOCK_FILE))
}

fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoSuchFolder,
            _ => Error::io("open", path)(error),
        })
}

/// Takes the lock of a folder.
fn lock(folder: &Path) -> Result<os::file::Lock> {
    os::file::lock(lock_file(folder)?).map_err(Error::io("lock", folder))
}

/// Takes the lock of a whole Maildir: folders, subscriptions, UIDVALIDITY.
pub(crate) fn account_lock(root: &Path) -> Result<os::file::Lock> {
    os::file::lock(open_lock(&root.join("indimail.account.lock"))?).map_err(Error::io("lock", root))
}
