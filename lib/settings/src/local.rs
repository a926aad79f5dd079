//! Settings of local delivery.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
