//! What a client can say, parsed.

use crate::date::Day;
use crate::flags::{Change, Flags};
use crate::folder::FolderName;
use crate::set::SequenceSet;

/// One command, without its tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// LOGIN
    Login {
        /// User name.
        user: Vec<u8>,
        /// Password in the clear.
        password: Vec<u8>,
    },
    /// AUTHENTICATE, with the initial response of SASL-IR still in base64.
    Authenticate {
        /// Mechanism in upper case.
        mechanism: String,
        /// Initial response.
        initial: Option<Vec<u8>>,
    },
    /// ID
    Id,
    /// ENABLE
    Enable(Vec<String>),
    /// NAMESPACE
    Namespace,
    /// SELECT or EXAMINE
    Select(FolderName, Access),
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
    /// LIST or LSUB
    List(List),
    /// STATUS
    Status(FolderName, Vec<StatusItem>),
    /// GETQUOTAROOT
    GetQuotaRoot(FolderName),
    /// GETQUOTA
    GetQuota(Vec<u8>),
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with a set.
    Expunge(Option<SequenceSet>),
    /// IDLE
    Idle,
    /// SEARCH
    Search(Numbering, Search),
    /// SORT
    Sort(Numbering, Vec<(SortKey, Order)>, Search),
    /// THREAD
    Thread(Numbering, Threading, Search),
    /// FETCH
    Fetch(Numbering, SequenceSet, Vec<Item>),
    /// STORE
    Store {
        /// How the set counts.
        numbering: Numbering,
        /// Which messages.
        set: SequenceSet,
        /// What to do with the flags.
        change: Change,
        /// `.SILENT` or not.
        echo: Echo,
        /// The flags.
        flags: Flags,
    },
    /// COPY or MOVE
    Copy(Numbering, SequenceSet, FolderName, Transfer),
    /// A folder command whose name can be no folder's.
    BadName(&'static str),
}

/// Everything of APPEND before the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append {
    /// Where to.
    pub folder: FolderName,
    /// With these flags.
    pub flags: Flags,
    /// INTERNALDATE in Unix seconds, else now.
    pub date: Option<i64>,
    /// The message stands in `UTF8 (~{...})` (RFC 6855 §4).
    pub utf8: bool,
}

/// How a folder is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// SELECT
    ReadWrite,
    /// EXAMINE
    ReadOnly,
}

/// What numbers in a set or an answer mean.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbering {
    /// Position in the mailbox as this session sees it.
    Sequence,
    /// UIDs
    Uid,
}

/// Whether STORE answers with the new flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Echo {
    /// `FLAGS`
    Flags,
    /// `FLAGS.SILENT`
    Silent,
}

/// COPY or MOVE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transfer {
    /// The messages stay where they are too.
    Copy,
    /// The messages leave.
    Move,
}

/// LIST and LSUB.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct List {
    /// LSUB: the answers are named so, and only subscribed folders count.
    pub lsub: bool,
    /// Reference name, put in front of each pattern.
    pub reference: Vec<u8>,
    /// Patterns.
    pub patterns: Vec<Vec<u8>>,
    /// Selection option SUBSCRIBED.
    pub only_subscribed: bool,
    /// Selection option RECURSIVEMATCH.
    pub recursive_match: bool,
    /// Selection option SPECIAL-USE.
    pub only_special: bool,
    /// Whether it has any part of RFC 5258.
    pub extended: bool,
    /// Return option SUBSCRIBED.
    pub return_subscribed: bool,
    /// Return option STATUS.
    pub return_status: Vec<StatusItem>,
}

/// One item of STATUS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// SIZE
    Size,
    /// DELETED
    Deleted,
}

/// One item of FETCH.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// FLAGS
    Flags,
    /// UID
    Uid,
    /// INTERNALDATE
    InternalDate,
    /// ENVELOPE
    Envelope,
    /// BODY without brackets
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// RFC822.SIZE
    Size,
    /// `BODY[...]`, `BODY.PEEK[...]` and the three RFC822 forms.
    Section {
        /// How the answer names it, without the origin octet.
        label: String,
        /// Which bytes.
        section: Section,
        /// First byte and length.
        partial: Option<(u32, u32)>,
        /// Whether it leaves `\Seen` alone.
        peek: bool,
    },
}

/// A section of a message: the part, and what of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Section {
    /// Part numbers, the message itself when empty.
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SectionText {
    /// All of it; for a numbered part, its body.
    #[default]
    All,
    /// HEADER
    Header,
    /// HEADER.FIELDS, names in any case.
    Fields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT
    FieldsNot(Vec<Vec<u8>>),
    /// TEXT
    Text,
    /// MIME
    Mime,
}

/// SEARCH: a key, and what is wanted of the matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Search {
    /// RETURN options of RFC 4731; `None` asks for the old answer.
    pub returns: Option<Vec<SearchReturn>>,
    /// What to match.
    pub key: Key,
}

/// One RETURN option of ESEARCH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SearchReturn {
    /// MIN
    Min,
    /// MAX
    Max,
    /// ALL
    All,
    /// COUNT
    Count,
}

/// A search key (RFC 3501 §6.4.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// Every one of these.
    And(Vec<Key>),
    /// Either.
    Or(Box<Key>, Box<Key>),
    /// Not.
    Not(Box<Key>),
    /// ALL
    All,
    /// Sequence numbers.
    Sequence(SequenceSet),
    /// UIDs.
    Uid(SequenceSet),
    /// A system flag.
    Flag(crate::flags::SystemFlag),
    /// RECENT
    Recent,
    /// KEYWORD
    Keyword(String),
    /// BEFORE, ON, SINCE
    Internal(When, Day),
    /// SENTBEFORE, SENTON, SENTSINCE
    Sent(When, Day),
    /// LARGER
    Larger(u32),
    /// SMALLER
    Smaller(u32),
    /// A header field has this text; BCC, CC, FROM, SUBJECT, TO, HEADER.
    Header(Vec<u8>, String),
    /// BODY
    Body(String),
    /// TEXT
    Text(String),
    /// YOUNGER: at most so many seconds old (RFC 5032).
    Younger(u32),
    /// OLDER
    Older(u32),
}

/// A comparison with a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// Earlier than the day.
    Before,
    /// Within the day.
    On,
    /// Within the day or later.
    Since,
}

/// One criterion of SORT (RFC 5256).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SortKey {
    /// ARRIVAL
    Arrival,
    /// CC
    Cc,
    /// DATE
    Date,
    /// FROM
    From,
    /// SIZE
    Size,
    /// SUBJECT
    Subject,
    /// TO
    To,
}

/// Whether a criterion of SORT is turned round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// As it is.
    Ascending,
    /// REVERSE
    Descending,
}

/// An algorithm of THREAD (RFC 5256).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threading {
    /// ORDEREDSUBJECT
    OrderedSubject,
    /// REFERENCES
    References,
}
