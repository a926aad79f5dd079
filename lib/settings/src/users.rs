//! Settings of virtual domains and users.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
