//! Settings of programs that put mail of local users into the queue.

use crate::{Kind, Setting};

const INJECT: &[&str] = &["qmail-inject", "new-inject", "ofmipd", "sendmail"];

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

/// How new-inject and ofmipd rewrite host names.
pub static REWRITE: Setting = Setting {
    file: "rewrite",
    variable: "QMAILREWRITEFILE",
    kind: Kind::List,
    default: None,
    readers: &["new-inject", "ofmipd"],
    meaning: "Instructions =old:new, *post:new, ?post:new and -post:new for host names, tried in order; the variable names another file. Without them names are completed as qmail-inject does.",
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
    &REWRITE,
];
