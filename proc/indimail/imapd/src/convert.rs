//! Between the words of the session and those of the store.

use imap::flags::{Change, Flags, SystemFlag};
use imap::folder::FolderName;
use imap::view::Entry;
use imap::{Refusal, command};
use maildir::{Error, FlagOperation, FlagSet, Mailbox, Message, System};

/// Maildir's letter `P` is this keyword of IMAP.
const FORWARDED: &str = "$Forwarded";

const SYSTEM: [(SystemFlag, System); 5] = [
    (SystemFlag::Answered, System::REPLIED),
    (SystemFlag::Flagged, System::FLAGGED),
    (SystemFlag::Deleted, System::TRASHED),
    (SystemFlag::Seen, System::SEEN),
    (SystemFlag::Draft, System::DRAFT),
];

/// The flags of a message.
pub fn flags(mailbox: &Mailbox, message: &Message) -> Flags {
    let mut flags = Flags::default();
    for (flag, letter) in SYSTEM {
        if message.flags.system.contains(letter) {
            flags.set(flag);
        }
    }
    if message.flags.system.contains(System::PASSED) {
        flags.add_keyword(FORWARDED);
    }
    for keyword in mailbox.keyword_names(message.flags.keywords) {
        flags.add_keyword(keyword);
    }
    flags
}

/// Flags as the store takes them.
pub fn flag_set(flags: &Flags) -> FlagSet {
    let mut set = FlagSet::default();
    for (flag, letter) in SYSTEM {
        if flags.has(flag) {
            set.system = set.system.union(letter);
        }
    }
    for keyword in flags.keywords() {
        if keyword.eq_ignore_ascii_case(FORWARDED) {
            set.system = set.system.union(System::PASSED);
        } else {
            set.keywords.push(keyword.clone());
        }
    }
    set
}

/// A message as the session sees it.
pub fn entry(mailbox: &Mailbox, message: &Message) -> Entry {
    Entry {
        uid: message.uid,
        flags: flags(mailbox, message),
        recent: mailbox.is_recent(message.uid),
        internal_date: message.internal_date,
        size: message.wire_size,
        modseq: message.modseq,
    }
}

/// How flags change.
pub fn operation(change: Change) -> FlagOperation {
    match change {
        Change::Add => FlagOperation::Add,
        Change::Remove => FlagOperation::Remove,
        Change::Replace => FlagOperation::Replace,
    }
}

/// How a folder is opened.
pub fn access(access: command::Access) -> maildir::Access {
    match access {
        command::Access::ReadWrite => maildir::Access::ReadWrite,
        command::Access::ReadOnly => maildir::Access::ReadOnly,
    }
}

/// A folder's name for the store.
pub fn to_store(name: &FolderName) -> Result<maildir::FolderName, Error> {
    Ok(maildir::FolderName::parse(name.as_str(), '.')?)
}

/// A folder's name for the session; `None` when a client could not say it.
pub fn to_session(name: &maildir::FolderName) -> Option<FolderName> {
    let shown = name.display('.');
    let parsed = FolderName::parse(shown.as_bytes()).ok()?;
    (parsed.as_str() == shown).then_some(parsed)
}

/// What the client is told about an error of the store.
pub fn refusal(error: &Error) -> Refusal {
    match error {
        error if error.is_full() => Refusal::OverQuota,
        Error::NoSuchFolder | Error::Name(_) | Error::Rebuilt => Refusal::NoSuchFolder,
        Error::FolderExists => Refusal::FolderExists,
        Error::FolderRefused => Refusal::FolderRefused,
        Error::ReadOnly => Refusal::ReadOnly,
        Error::Keyword | Error::UidsExhausted => Refusal::Limit,
        Error::Io { .. } | Error::NoSuchMessage(_) | Error::Contended(_) => Refusal::Temporary,
    }
}
