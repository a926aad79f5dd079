//! Settings of programs that put mail of local users into the queue.

use crate::{Kind, Setting};

const INJECT: &[&str] = &["qmail-inject", "new-inject", "ofmipd", "sendmail"];
const SRS: &[&str] = &[
    "qmail-local",
    "vdeliverd",
    "qmail-inject",
    "qmail-send",
    "qmail-smtpd",
];

/// The host of addresses without one.
pub static DEFAULTHOST: Setting = Setting {
    file: "defaulthost",
    variable: "QMAILDEFAULTHOST",
    kind: Kind::LineOrMe,
    default: Some("defaulthost"),
    readers: INJECT,
    meaning: "Host added to addresses without an @.",
};

/// The domain of hosts without a dot.
pub static DEFAULTDOMAIN: Setting = Setting {
    file: "defaultdomain",
    variable: "QMAILDEFAULTDOMAIN",
    kind: Kind::LineOrMe,
    default: Some("defaultdomain"),
    readers: INJECT,
    meaning: "Domain added to hosts without a dot.",
};

/// The domain of hosts that end in a plus.
pub static PLUSDOMAIN: Setting = Setting {
    file: "plusdomain",
    variable: "QMAILPLUSDOMAIN",
    kind: Kind::LineOrMe,
    default: Some("plusdomain"),
    readers: INJECT,
    meaning: "Domain that replaces the plus at the end of a host.",
};

/// The host of message ids.
pub static IDHOST: Setting = Setting {
    file: "idhost",
    variable: "QMAILIDHOST",
    kind: Kind::LineOrMe,
    default: Some("idhost"),
    readers: INJECT,
    meaning: "Host in the Message-ID of messages that come without one.",
};

/// How headers are made.
pub static QMAILINJECT: Setting = Setting {
    file: "",
    variable: "QMAILINJECT",
    kind: Kind::Line,
    default: None,
    readers: INJECT,
    meaning: "Letters: c address-comment From, s ignore Return-Path, f drop From, i drop Message-ID, r VERP by recipient, m VERP by message, n print.",
};

/// Which lists want Mail-Followup-To.
pub static QMAILMFTFILE: Setting = Setting {
    file: "",
    variable: "QMAILMFTFILE",
    kind: Kind::List,
    default: None,
    readers: INJECT,
    meaning: "File with addresses of mailing lists; mail to one of them gets a Mail-Followup-To field.",
};

/// Variables by sender.
pub static FROMRULES: Setting = Setting {
    file: "from.envrules",
    variable: "FROMRULES",
    kind: Kind::List,
    default: None,
    readers: &["qmail-inject", "new-inject", "sendmail", "qmail-smtpd"],
    meaning: "Rules pattern:VAR=value,... that set variables for the queue program by envelope sender; the variable names another file.",
};

/// Variables by recipient.
pub static DOMAINQUEUE: Setting = Setting {
    file: "domainqueue",
    variable: "DOMAINQUEUE",
    kind: Kind::List,
    default: None,
    readers: &[
        "qmail-inject",
        "new-inject",
        "ofmipd",
        "sendmail",
        "qmail-queue",
    ],
    meaning: "Rules pattern:VAR=value,... that set variables for the queue program, like QUEUEDIR, by the domain of each recipient, those of later recipients in front; the variable names another file.",
};

/// No variables from directories.
pub static SKIP_LOCAL_ENVIRONMENT: Setting = Setting {
    file: "",
    variable: "SKIP_LOCAL_ENVIRONMENT",
    kind: Kind::Presence,
    default: None,
    readers: INJECT,
    meaning: "Do not take variables from ~/.defaultqueue, a directory with a file for each as for envdir; those of control/defaultqueue are taken unless QUEUE_BASE is set.",
};

/// How new-inject and ofmipd rewrite host names.
pub static REWRITE: Setting = Setting {
    file: "rewrite",
    variable: "QMAILREWRITEFILE",
    kind: Kind::List,
    default: None,
    readers: &["new-inject", "ofmipd"],
    meaning: "Instructions =old:new, *post:new, ?post:new and -post:new for host names, tried in order; the variable names another file. Without them names are completed as qmail-inject does.",
};

/// The domain of rewritten senders.
pub static SRS_DOMAIN: Setting = Setting {
    file: "srs_domain",
    variable: "",
    kind: Kind::Line,
    default: None,
    readers: SRS,
    meaning: "Domain that senders of forwarded mail are rewritten to (SRS); without it none is.",
};

/// The secrets of rewritten senders.
pub static SRS_SECRETS: Setting = Setting {
    file: "srs_secrets",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: SRS,
    meaning: "Secrets of rewritten senders, one a line: the first signs, all verify. Who forwards mail must be able to read them.",
};

/// How old rewritten senders may be.
pub static SRS_MAXAGE: Setting = Setting {
    file: "srs_maxage",
    variable: "",
    kind: Kind::Integer,
    default: Some("21"),
    readers: SRS,
    meaning: "Days for which a rewritten sender takes bounces.",
};

/// How long hashes are.
pub static SRS_HASHLENGTH: Setting = Setting {
    file: "srs_hashlength",
    variable: "",
    kind: Kind::Integer,
    default: Some("4"),
    readers: SRS,
    meaning: "Characters of the hash in a rewritten sender.",
};

/// How long hashes must be.
pub static SRS_HASHMIN: Setting = Setting {
    file: "srs_hashmin",
    variable: "",
    kind: Kind::Integer,
    default: Some("4"),
    readers: SRS,
    meaning: "Fewest characters of a hash that is believed.",
};

/// What follows the tag.
pub static SRS_SEPARATOR: Setting = Setting {
    file: "srs_separator",
    variable: "",
    kind: Kind::Line,
    default: Some("="),
    readers: SRS,
    meaning: "What follows SRS0 and SRS1 in a rewritten sender: =, - or +.",
};

/// Whether our own senders are rewritten.
pub static SRS_ALWAYSREWRITE: Setting = Setting {
    file: "srs_alwaysrewrite",
    variable: "",
    kind: Kind::Integer,
    default: Some("0"),
    readers: SRS,
    meaning: "When not 0, senders of srs_domain itself are rewritten, too.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[
    &DEFAULTHOST,
    &DEFAULTDOMAIN,
    &PLUSDOMAIN,
    &IDHOST,
    &QMAILINJECT,
    &QMAILMFTFILE,
    &FROMRULES,
    &DOMAINQUEUE,
    &SKIP_LOCAL_ENVIRONMENT,
    &REWRITE,
    &SRS_DOMAIN,
    &SRS_SECRETS,
    &SRS_MAXAGE,
    &SRS_HASHLENGTH,
    &SRS_HASHMIN,
    &SRS_SEPARATOR,
    &SRS_ALWAYSREWRITE,
];
