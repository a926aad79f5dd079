//! What a session asks its driver, and what the driver answers.

use crate::command::{Access, Append, Transfer};
use crate::flags::{Change, Flags};
use crate::folder::FolderName;
use crate::search::Extent;
use crate::view::{Entry, Snapshot};

/// A question. The driver answers each with [`crate::Session::answer`] before
/// it asks for the next step; which answer belongs to which question is said
/// at each.
#[derive(Debug)]
pub enum Question {
    /// At least 16 random bytes: [`Answer::Seed`].
    Seed,
    /// A question for inlookup: [`Answer::Lookup`].
    Lookup(sasl::server::Question),
    /// A login failed. Log it, and let the client wait: [`Answer::Done`].
    Failed {
        /// As the client wrote it, perhaps empty.
        user: Vec<u8>,
        /// `LOGIN` for the command, else the SASL mechanism.
        mechanism: &'static str,
        /// Why.
        refusal: sasl::server::Refusal,
    },
    /// A user is who they say: log it, open the mail: [`Answer::Done`].
    Enter {
        /// Whose mail.
        account: Box<wire::lookup::Account>,
        /// As in `Failed`.
        mechanism: &'static str,
    },
    /// All folders: [`Answer::Folders`].
    Folders,
    /// Open a folder instead of the one that is open: [`Answer::Mailbox`].
    Open(FolderName, Access),
    /// Close the open folder: [`Answer::Done`].
    Close,
    /// The counts of a folder: [`Answer::Status`].
    Status(FolderName),
    /// Change the set of folders: [`Answer::Done`].
    Folder(FolderChange),
    /// Usage and limits: [`Answer::Quota`].
    Quota,
    /// The open folder as it is now: [`Answer::Entries`].
    Refresh,
    /// A message: [`Answer::Text`].
    Read {
        /// Which.
        uid: u32,
        /// How much of it; more does no harm.
        extent: Extent,
    },
    /// Sizes of messages: [`Answer::Sizes`].
    Measure(Vec<u32>),
    /// Change flags: [`Answer::Stored`].
    Store {
        /// Of which messages.
        uids: Vec<u32>,
        /// How.
        change: Change,
        /// Which flags.
        flags: Flags,
    },
    /// Remove messages for good, if they are marked `\Deleted`:
    /// [`Answer::Removed`].
    Remove(Vec<u32>),
    /// Copy or move messages to a folder: [`Answer::Copied`].
    Copy {
        /// Which, ascending.
        uids: Vec<u32>,
        /// Where to.
        to: FolderName,
        /// Whether they stay here.
        transfer: Transfer,
    },
    /// A message of this many bytes comes: [`Answer::Done`].
    AppendBegin(Append, u64),
    /// Some of its bytes: [`Answer::Done`].
    AppendData(Vec<u8>),
    /// All of it came, make it visible: [`Answer::Appended`].
    AppendEnd,
    /// It does not come after all: [`Answer::Done`].
    AppendAbort,
}

/// A change to the set of folders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FolderChange {
    /// CREATE
    Create(FolderName),
    /// DELETE
    Delete(FolderName),
    /// RENAME
    Rename(FolderName, FolderName),
    /// SUBSCRIBE
    Subscribe(FolderName),
    /// UNSUBSCRIBE
    Unsubscribe(FolderName),
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// Random bytes.
    Seed([u8; 32]),
    /// What inlookup said.
    Lookup(wire::lookup::Reply),
    /// It is done, or not.
    Done(Result<(), Refusal>),
    /// Folders that exist, and folders that are subscribed to.
    Folders(Result<(Vec<FolderName>, Vec<FolderName>), Refusal>),
    /// The folder is open.
    Mailbox(Result<Snapshot, Refusal>),
    /// The counts.
    Status(Result<Counts, Refusal>),
    /// The quota.
    Quota(Result<Quota, Refusal>),
    /// All messages by ascending UID, or nothing when nothing changed.
    Entries(Result<Option<Vec<Entry>>, Refusal>),
    /// The message with CRLF line ends; nothing when it is gone.
    Text(Result<Option<Vec<u8>>, Refusal>),
    /// UIDs with sizes.
    Sizes(Vec<(u32, u64)>),
    /// UID, flags and MODSEQ of each message that is there.
    Stored(Result<Vec<(u32, Flags, u64)>, Refusal>),
    /// UIDs of what is gone, ascending.
    Removed(Result<Vec<u32>, Refusal>),
    /// What came of a copy.
    Copied(Result<Copied, Refusal>),
    /// UIDVALIDITY and UID of the new message.
    Appended(Result<(u32, u32), Refusal>),
}

/// Where messages were copied to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// UIDs here and there.
    pub pairs: Vec<(u32, u32)>,
}

/// Counts of a folder.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// MESSAGES
    pub messages: u64,
    /// RECENT
    pub recent: u64,
    /// UIDNEXT
    pub uid_next: u32,
    /// UIDVALIDITY
    pub uid_validity: u32,
    /// UNSEEN
    pub unseen: u64,
    /// SIZE
    pub size: u64,
    /// DELETED
    pub deleted: u64,
}

/// Usage and limits of a user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Bytes in use.
    pub bytes: u64,
    /// Bytes allowed.
    pub bytes_max: Option<u64>,
    /// Messages.
    pub messages: u64,
    /// Messages allowed.
    pub messages_max: Option<u64>,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// There is no such folder.
    NoSuchFolder,
    /// There is one already.
    FolderExists,
    /// This cannot be done with this folder.
    FolderRefused,
    /// The user has no room left.
    OverQuota,
    /// The folder is open for reading only.
    ReadOnly,
    /// A limit of the folder: keywords, UIDs.
    Limit,
    /// Not now; the log says why.
    Temporary,
}

impl Refusal {
    /// The text of a tagged NO (response codes of RFC 5530).
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoSuchFolder => "[NONEXISTENT] no such folder",
            Self::FolderExists => "[ALREADYEXISTS] folder exists already",
            Self::FolderRefused => "[CANNOT] not with this folder",
            Self::OverQuota => "[OVERQUOTA] no room left",
            Self::ReadOnly => "[READ-ONLY] folder is open for reading only",
            Self::Limit => "[LIMIT] the folder cannot hold more of these",
            Self::Temporary => "[UNAVAILABLE] not now, try again later",
        }
    }

    /// The same where messages are to go to: a folder that is not there can
    /// be created (RFC 3501 §6.3.11).
    pub(crate) fn text_of_target(self) -> &'static str {
        match self {
            Self::NoSuchFolder => "[TRYCREATE] no such folder",
            other => other.text(),
        }
    }
}
