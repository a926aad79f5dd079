//! Settings of IMAP and POP3.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
