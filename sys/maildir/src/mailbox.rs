//! One open folder, as one session sees it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::begin::begin;
use crate::error::{Error, Result};
use crate::index::{Effect, Index, Message, Record, State};
use crate::lock;
use crate::name::Place;
use crate::scan::Stamp;
use crate::wire;

/// How often a file that moved is looked for before we give up.
pub(crate) const TRIES_MAX: usize = 5;

/// May the session change anything?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It may; messages nobody has seen are recent for it, and move from
    /// `new` to `cur`.
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
    pub(crate) stamp: Option<(i128, i128)>,
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
                && self.message(uid).is_some_and(|message| {
                    self.index.state.claimed <= uid || message.name.place() == Place::New
                })
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
        let lock = lock::folder(&self.folder)?;
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
    /// Learns what other sessions wrote into the index.
    pub(crate) fn follow(&mut self) -> Result<()> {
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
