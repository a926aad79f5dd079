//! Settings of the queue, qmail-send and qmail-todo.

use crate::{Kind, Setting};

const WRITERS: &[&str] = &["qmail-queue", "qmail-queued"];
const QUEUE_PROGRAMS: &[&str] = &[
    "qmail-queue",
    "qmail-queued",
    "qmail-clean",
    "qmail-start",
    "qmail-send",
    "queue tools",
];

/// One queue, for programs that work on one.
pub static QUEUEDIR: Setting = Setting {
    file: "",
    variable: "QUEUEDIR",
    kind: Kind::Line,
    default: None,
    readers: QUEUE_PROGRAMS,
    meaning: "Directory of one queue, absolute or below the root; wins over the collection.",
};

/// Where the collection of queues is.
pub static QUEUE_BASE: Setting = Setting {
    file: "queue_base",
    variable: "QUEUE_BASE",
    kind: Kind::Line,
    default: None,
    readers: QUEUE_PROGRAMS,
    meaning: "Directory that holds queue1, queue2 and so on; without it, queue below the root.",
};

/// Number of the first queue.
pub static QUEUE_START: Setting = Setting {
    file: "",
    variable: "QUEUE_START",
    kind: Kind::Integer,
    default: Some("1"),
    readers: QUEUE_PROGRAMS,
    meaning: "Number of the first queue of the collection.",
};

/// How many queues.
pub static QUEUE_COUNT: Setting = Setting {
    file: "queue_count",
    variable: "QUEUE_COUNT",
    kind: Kind::Integer,
    default: Some("1"),
    readers: QUEUE_PROGRAMS,
    meaning: "How many queues the collection has.",
};

/// Space that must stay free.
pub static MIN_FREE: Setting = Setting {
    file: "",
    variable: "MIN_FREE",
    kind: Kind::Line,
    default: Some("0"),
    readers: &["qmail-queue", "qmail-queued", "qmail-multi"],
    meaning: "Bytes that must be free on the queue's file system, with K, M or G for larger units; with less, new mail is deferred.",
};

/// Whether files are synced.
pub static USE_FSYNC: Setting = Setting {
    file: "conf-fsync",
    variable: "USE_FSYNC",
    kind: Kind::Line,
    default: Some("1"),
    readers: QUEUE_PROGRAMS,
    meaning: "0 or empty: files of the queue are not synced, and a power cut loses mail.",
};

/// Whether directories are synced.
pub static USE_SYNCDIR: Setting = Setting {
    file: "conf-syncdir",
    variable: "USE_SYNCDIR",
    kind: Kind::Line,
    default: Some("1"),
    readers: QUEUE_PROGRAMS,
    meaning: "0 or empty: directories of the queue are not synced, and a power cut loses mail.",
};

/// A copy of every message.
pub static EXTRAQUEUE: Setting = Setting {
    file: "extraqueue",
    variable: "EXTRAQUEUE",
    kind: Kind::List,
    default: None,
    readers: WRITERS,
    meaning: "Further recipients of every message, placed before its own; empty for none.",
};

/// Header lines added at delivery.
pub static QQEH: Setting = Setting {
    file: "",
    variable: "QQEH",
    kind: Kind::Native,
    default: None,
    readers: &["qmail-queue"],
    meaning: "Header lines that travel in the envelope and are put on top at delivery.",
};

/// Fields that become variables of delivery programs.
pub static ENVHEADERS: Setting = Setting {
    file: "envheaders",
    variable: "ENVHEADERS",
    kind: Kind::List,
    default: None,
    readers: WRITERS,
    meaning: "Header fields, as Name or Name:bytes, that delivery programs find as variables.",
};

/// Fields that are taken out of every message.
pub static REMOVEHEADERS: Setting = Setting {
    file: "removeheaders",
    variable: "REMOVEHEADERS",
    kind: Kind::List,
    default: None,
    readers: WRITERS,
    meaning: "Header fields that are dropped, by their whole names.",
};

/// Fields that are logged.
pub static LOGHEADERS: Setting = Setting {
    file: "logheaders",
    variable: "LOGHEADERS",
    kind: Kind::List,
    default: None,
    readers: WRITERS,
    meaning: "Header fields of every message that are written to the log.",
};

/// Where all mail goes instead.
pub static QUARANTINE: Setting = Setting {
    file: "quarantine",
    variable: "QUARANTINE",
    kind: Kind::Line,
    default: None,
    readers: WRITERS,
    meaning: "Address that gets mail instead of its recipients, named in X-Quarantine-ID.",
};

/// Where logged fields go.
pub static LOGHEADERFD: Setting = Setting {
    file: "",
    variable: "LOGHEADERFD",
    kind: Kind::Integer,
    default: Some("2"),
    readers: &["qmail-queue"],
    meaning: "Descriptor on which qmail-queue writes the fields of LOGHEADERS.",
};

/// Who keeps copies of what.
pub static MAILARCHIVE: Setting = Setting {
    file: "mailarchive",
    variable: "MAILARCHIVE",
    kind: Kind::List,
    default: None,
    readers: WRITERS,
    meaning: "Lines type:pattern:address that add recipients: type F looks at the sender, T or none at the recipients; patterns are regular expressions with QREGEX; %u, %d and %e in the address are user, domain and all of what matched.",
};

/// Whether the address of a client that relays is told.
pub static ORIGINIPFIELD: Setting = Setting {
    file: "originipfield",
    variable: "ORIGINIPFIELD",
    kind: Kind::Integer,
    default: Some("0"),
    readers: &["qmail-queue"],
    meaning: "1: messages of clients that relay get a field X-Originating-IP.",
};

/// Whether host and client are told.
pub static HIDE_HOST: Setting = Setting {
    file: "",
    variable: "HIDE_HOST",
    kind: Kind::Presence,
    default: None,
    readers: &["qmail-queue"],
    meaning: "The Received line names neither this host nor the client.",
};

/// No policies.
pub static FASTQUEUE: Setting = Setting {
    file: "",
    variable: "FASTQUEUE",
    kind: Kind::Line,
    default: None,
    readers: WRITERS,
    meaning: "Set, and not empty: nothing is added, removed, logged, copied or scanned (EXTRAQUEUE, QUARANTINE, REMOVEHEADERS, ENVHEADERS, LOGHEADERS, MAILARCHIVE, ORIGINIPFIELD, QQEH, QHPSI). Of qmail-queue's callers only those of the mail system may say so.",
};

/// How long a queue writer may live.
pub static DEATH: Setting = Setting {
    file: "",
    variable: "DEATH",
    kind: Kind::Integer,
    default: Some("86400"),
    readers: &[
        "qmail-queue",
        "qmail-multi",
        "qmail-nullqueue",
        "qmail-qmqpc",
    ],
    meaning: "Seconds after which qmail-queue gives up; OSSIFIED must stay larger.",
};

/// How old abandoned files become.
pub static OSSIFIED: Setting = Setting {
    file: "",
    variable: "OSSIFIED",
    kind: Kind::Integer,
    default: Some("129600"),
    readers: &["qmail-clean", "qmail-send"],
    meaning: "Seconds after which a file nobody finished is removed from the queue.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[
    &QUEUEDIR,
    &QUEUE_BASE,
    &QUEUE_START,
    &QUEUE_COUNT,
    &MIN_FREE,
    &USE_FSYNC,
    &USE_SYNCDIR,
    &EXTRAQUEUE,
    &QQEH,
    &ENVHEADERS,
    &REMOVEHEADERS,
    &LOGHEADERS,
    &QUARANTINE,
    &LOGHEADERFD,
    &MAILARCHIVE,
    &ORIGINIPFIELD,
    &HIDE_HOST,
    &FASTQUEUE,
    &DEATH,
    &OSSIFIED,
];
