//! Settings of local delivery.

use crate::{Kind, Setting};

/// Readers of most settings of this group.
const VIRTUAL: &[&str] = &["vdelivermail", "vdeliverd"];

/// Readers of what rules need.
const FILTER: &[&str] = &["vfilter", "vdeliverd"];

/// Who delivers.
const LOCAL: &[&str] = &["qmail-local", "vdeliverd"];

const fn variable(
    variable: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Setting {
    Setting {
        file: "",
        variable,
        kind,
        default,
        readers: VIRTUAL,
        meaning,
    }
}

/// Turns bounces of virtual users into silence.
pub static DISCARD_BOUNCE: Setting = variable(
    "DISCARD_BOUNCE",
    Kind::Presence,
    None,
    "Mail a virtual user cannot get is discarded instead of bounced.",
);

/// Delivers to inactive users too.
pub static ALLOW_INACTIVE: Setting = variable(
    "ALLOW_INACTIVE",
    Kind::Presence,
    None,
    "Inactive virtual users get mail like active ones.",
);

/// Ignores aliases of users.
pub static NOALIAS: Setting = variable(
    "NOALIAS",
    Kind::Presence,
    None,
    "Aliases and .qmail files of existing virtual users are ignored.",
);

/// Defers mail to full mailboxes.
pub static HOLDOVERQUOTA: Setting = variable(
    "HOLDOVERQUOTA",
    Kind::Line,
    None,
    "Mail to a full mailbox waits in the queue: empty, 1 or yes for all, else the name of a file in the Maildir that says so.",
);

/// Told when a mailbox is full.
pub static OVERQUOTA_CMD: Setting = variable(
    "OVERQUOTA_CMD",
    Kind::Line,
    None,
    "Program run, without a shell, when a mailbox is over quota or nearly so.",
);

/// Messages up to this size get into full mailboxes.
pub static OVERQUOTA_MAILSIZE: Setting = variable(
    "OVERQUOTA_MAILSIZE",
    Kind::Integer,
    Some("1000"),
    "A message of at most this many bytes is delivered even over quota, so that warnings arrive.",
);

/// Believes maildirsize.
pub static FAST_QUOTA: Setting = variable(
    "FAST_QUOTA",
    Kind::Presence,
    None,
    "A maildirsize file that says over quota is believed without counting.",
);

/// Counts trash.
pub static INCLUDE_TRASH: Setting = variable(
    "INCLUDE_TRASH",
    Kind::Presence,
    None,
    "Mail in Trash and messages flagged as deleted count for the quota.",
);

/// Messages a day.
pub static MAILCOUNT_LIMIT: Setting = variable(
    "MAILCOUNT_LIMIT",
    Kind::Line,
    None,
    "Most messages one virtual mailbox takes in a day; 0 is no limit.",
);

/// Bytes a day.
pub static MAILSIZE_LIMIT: Setting = variable(
    "MAILSIZE_LIMIT",
    Kind::Line,
    None,
    "Most bytes one virtual mailbox takes in a day; 0 is no limit.",
);

/// Suppresses duplicates.
pub static ELIMINATE_DUPS: Setting = variable(
    "ELIMINATE_DUPS",
    Kind::Presence,
    None,
    "A message a mailbox got a short while ago already is not stored again.",
);

/// For how long.
pub static ELIMINATE_DUPS_INT: Setting = variable(
    "ELIMINATE_DUPS_INT",
    Kind::Integer,
    Some("900"),
    "For how many seconds a message counts as a duplicate of an earlier one.",
);

/// What counts of a message.
pub static ELIMINATE_DUPS_ARGS: Setting = variable(
    "ELIMINATE_DUPS_ARGS",
    Kind::Line,
    None,
    "Command whose output, made from the message, says together with the Message-ID whether two messages are the same; without it their headers do.",
);

/// A folder instead of the inbox.
pub static MAILDIRFOLDER: Setting = variable(
    "MAILDIRFOLDER",
    Kind::Line,
    None,
    "Folder a message goes to, set by vfilter for one delivery.",
);

/// Rejects instead of delivering.
pub static BOUNCE_MAIL: Setting = variable(
    "BOUNCE_MAIL",
    Kind::Presence,
    None,
    "The message is to be rejected, set by vfilter for one delivery.",
);

/// The line vfilter leaves.
pub static XFILTER: Setting = variable(
    "XFILTER",
    Kind::Line,
    None,
    "X-Filter header line, set by vfilter for one delivery.",
);

/// Extensions of virtual users.
pub static QMAIL_EXT: Setting = variable(
    "QMAIL_EXT",
    Kind::Integer,
    Some("1"),
    "Mail for user-anything goes to user when user-anything does not exist; 0 turns that off.",
);

/// Percentages at which a user is warned; the others are `QUOTAWARN2` and so
/// on up to `QUOTAWARN10`.
pub static QUOTAWARN: Setting = variable(
    "QUOTAWARN1",
    Kind::Line,
    None,
    "Percentage of the quota from which on OVERQUOTA_CMD is run once a week; QUOTAWARN2 to QUOTAWARN10 are further ones, the last that is reached counts.",
);

/// Delivers for vfilter.
pub static MDA: Setting = Setting {
    file: "",
    variable: "MDA",
    kind: Kind::Line,
    default: None,
    readers: FILTER,
    meaning: "Command that delivers what vfilter has looked at, instead of vdelivermail.",
};

/// What filter rules call comparisons.
pub static VFILTER_NUMBERING: Setting = Setting {
    file: "",
    variable: "VFILTER_NUMBERING",
    kind: Kind::Line,
    default: None,
    readers: FILTER,
    meaning: "Set to old where the filter rules in the database were made before release 3.4.5: there 5 asks for the address book and the comparisons after it have a number one higher.",
};

/// The header fields of filter rules.
pub static HEADERLIST: Setting = Setting {
    file: "headerlist",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: FILTER,
    meaning: "Names of header fields, one a line; filter rules have the number of a line, from 0. Another list changes what all rules mean.",
};

/// Loops.
pub static MAXDELIVEREDTO: Setting = Setting {
    file: "maxdeliveredto",
    variable: "",
    kind: Kind::Integer,
    default: Some("0"),
    readers: LOCAL,
    meaning: "How many Delivered-To lines of the recipient a message may have before it counts as looping; -1 for any number.",
};

/// Senders that some users take mail from.
pub static LOCALDOMAINS: Setting = Setting {
    file: "localdomains",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: LOCAL,
    meaning: "Domains of senders that users with a file .localdomains, or all where the variable LOCALDOMAINS is set, take mail from; bounces always come in.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[
    &DISCARD_BOUNCE,
    &ALLOW_INACTIVE,
    &NOALIAS,
    &HOLDOVERQUOTA,
    &OVERQUOTA_CMD,
    &OVERQUOTA_MAILSIZE,
    &FAST_QUOTA,
    &INCLUDE_TRASH,
    &MAILCOUNT_LIMIT,
    &MAILSIZE_LIMIT,
    &ELIMINATE_DUPS,
    &ELIMINATE_DUPS_INT,
    &ELIMINATE_DUPS_ARGS,
    &MAILDIRFOLDER,
    &BOUNCE_MAIL,
    &XFILTER,
    &QMAIL_EXT,
    &QUOTAWARN,
    &MDA,
    &VFILTER_NUMBERING,
    &HEADERLIST,
    &MAXDELIVEREDTO,
    &LOCALDOMAINS,
];
