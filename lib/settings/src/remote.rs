//! Settings of delivery to other servers.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
