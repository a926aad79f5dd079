//! Settings of services and logs.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
