//! Settings of delivery to other servers.

use crate::{Kind, Setting};

const REMOTE: &[&str] = &["qmail-remote"];

/// The name servers to ask.
pub static DNSRESOLVER: Setting = Setting {
    file: "dnsresolver",
    variable: "DNSRESOLVER",
    kind: Kind::Line,
    default: None,
    readers: &["qmail-remote", "verifier", "rblsmtpd"],
    meaning: "Name servers to ask, IP or IP:PORT with blanks between; without it those of /etc/resolv.conf.",
};

/// How we introduce ourselves.
pub static HELOHOST: Setting = Setting {
    file: "helohost",
    variable: "",
    kind: Kind::LineOrMe,
    default: None,
    readers: REMOTE,
    meaning: "Name said in EHLO and HELO.",
};

/// Where mail for some domains goes instead of their exchangers.
pub static SMTPROUTES: Setting = Setting {
    file: "smtproutes",
    variable: "SMTPROUTESFILE",
    kind: Kind::List,
    default: None,
    readers: REMOTE,
    meaning: "Lines host:relay:port, `.domain` for what is below it, an empty host for everything; the variable names another file.",
};

/// A route for this one delivery.
pub static SMTPROUTE: Setting = Setting {
    file: "",
    variable: "SMTPROUTE",
    kind: Kind::Line,
    default: None,
    readers: REMOTE,
    meaning: "Routes in the syntax of smtproutes that replace the file.",
};

/// Routes in a constant database.
pub static MORESMTPROUTES: Setting = Setting {
    file: "moresmtproutes.cdb",
    variable: "MORESMTPROUTESCDB",
    kind: Kind::Native,
    default: None,
    readers: REMOTE,
    meaning: "Constant database of routes, keys are whole addresses or domains in lower case.",
};

/// How long connecting may take.
pub static TIMEOUTCONNECT: Setting = Setting {
    file: "timeoutconnect",
    variable: "TIMEOUTCONNECT",
    kind: Kind::Integer,
    default: Some("60"),
    readers: REMOTE,
    meaning: "Seconds one attempt to connect may take.",
};

/// How long a server may be silent.
pub static TIMEOUTREMOTE: Setting = Setting {
    file: "timeoutremote",
    variable: "TIMEOUTREMOTE",
    kind: Kind::Integer,
    default: Some("1200"),
    readers: REMOTE,
    meaning: "Seconds a server may take for one reply, or to read a piece of the message.",
};

/// Our address outside.
pub static OUTGOINGIP: Setting = Setting {
    file: "outgoingip",
    variable: "OUTGOINGIP",
    kind: Kind::Line,
    default: None,
    readers: REMOTE,
    meaning: "Local address of outgoing connections; 0.0.0.0 or :: lets the system choose.",
};

/// Local addresses by sender.
pub static DOMAINBINDINGS: Setting = Setting {
    file: "domainbindings",
    variable: "DOMAINBINDINGS",
    kind: Kind::List,
    default: None,
    readers: REMOTE,
    meaning: "Lines sender-or-domain:IP that choose the local address by the envelope sender; the variable names another file.",
};

/// Local addresses by where the connection goes.
pub static BINDROUTES: Setting = Setting {
    file: "bindroutes",
    variable: "BINDROUTES",
    kind: Kind::List,
    default: None,
    readers: REMOTE,
    meaning: "Lines remote-prefix:IP that choose the local address by the remote one; the variable names another file.",
};

/// Addresses that are ours too.
pub static MOREIPME: Setting = Setting {
    file: "moreipme",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: &["qmail-remote", "qmail-smtpd"],
    meaning: "Addresses that count as this host's, like that of a router that forwards to it.",
};

/// Addresses that are not ours.
pub static NOTIPME: Setting = Setting {
    file: "notipme",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: &["qmail-remote", "qmail-smtpd"],
    meaning: "Addresses of this host that belong to another mail server.",
};

/// Authentication to smarthosts.
pub static AUTH_SMTP: Setting = Setting {
    file: "",
    variable: "AUTH_SMTP",
    kind: Kind::Line,
    default: None,
    readers: REMOTE,
    meaning: "When set, authenticate with the route's user and password; empty for the strongest mechanism, else PLAIN, LOGIN or CRAM-MD5.",
};

/// TLS from the first byte.
pub static SMTPS: Setting = Setting {
    file: "",
    variable: "SMTPS",
    kind: Kind::Presence,
    default: None,
    readers: &["qmail-remote", "qmail-smtpd"],
    meaning: "Start every connection with a TLS handshake, as on port 465; for qmail-smtpd that on descriptors 0 and 1.",
};

/// Servers TLS is never tried with.
pub static NOTLSHOSTS: Setting = Setting {
    file: "notlshosts",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: REMOTE,
    meaning: "Exchangers or domains that TLS is never tried with: lines of a file, or names in a directory.",
};

/// How long a dead host is left alone.
pub static MIN_PENALTY: Setting = Setting {
    file: "",
    variable: "MIN_PENALTY",
    kind: Kind::Integer,
    default: Some("3600"),
    readers: REMOTE,
    meaning: "Seconds a host that cannot be reached is left alone, at least; 0 asks it every time.",
};

/// How close failures count as one.
pub static MAX_TOLERANCE: Setting = Setting {
    file: "",
    variable: "MAX_TOLERANCE",
    kind: Kind::Integer,
    default: Some("120"),
    readers: REMOTE,
    meaning: "Seconds in which further failures of a host count as the same one.",
};

/// Mail of this site gets a DKIM signature.
pub static DKIMSIGN: Setting = Setting {
    file: "dkimsign",
    variable: "",
    kind: Kind::Integer,
    default: Some("1"),
    readers: REMOTE,
    meaning: "When not 0, mail that was handed in here is signed by the DKIM key of its author's domain, if the signer has one.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[
    &DNSRESOLVER,
    &HELOHOST,
    &SMTPROUTES,
    &SMTPROUTE,
    &MORESMTPROUTES,
    &TIMEOUTCONNECT,
    &TIMEOUTREMOTE,
    &OUTGOINGIP,
    &DOMAINBINDINGS,
    &BINDROUTES,
    &MOREIPME,
    &NOTIPME,
    &AUTH_SMTP,
    &SMTPS,
    &NOTLSHOSTS,
    &MIN_PENALTY,
    &MAX_TOLERANCE,
    &DKIMSIGN,
];
