//! What every program of a site shares.

use crate::{Kind, Setting};

/// The host's own name.
pub static ME: Setting = Setting {
    file: "me",
    variable: "",
    kind: Kind::Line,
    default: None,
    readers: &["every program"],
    meaning: "Name of this host; the fallback of many other files.",
};

/// Where the control files are.
pub static CONTROLDIR: Setting = Setting {
    file: "",
    variable: "CONTROLDIR",
    kind: Kind::Line,
    default: Some("control"),
    readers: &["every program"],
    meaning: "Directory of the control files, absolute or below the root of the installation.",
};

/// The installation.
pub static QMAILDIR: Setting = Setting {
    file: "",
    variable: "QMAILDIR",
    kind: Kind::Line,
    default: Some("/var/indimail"),
    readers: &["every program"],
    meaning: "Root of the installation; without it the directory above the program's own.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[&ME, &CONTROLDIR, &QMAILDIR];
