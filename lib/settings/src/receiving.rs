//! Settings of taking mail from the network.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
