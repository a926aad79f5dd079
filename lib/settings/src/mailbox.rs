//! Settings of IMAP and POP3.

use crate::{Kind, Setting};

/// USER and PASS are refused.
pub static DISABLE_PASS: Setting = Setting {
    file: "",
    variable: "DISABLE_PASS",
    kind: Kind::Presence,
    default: None,
    readers: &["pop3d"],
    meaning: "Refuse USER and PASS of POP3; logging in takes AUTH.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[&DISABLE_PASS];
