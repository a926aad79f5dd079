//! Settings of the queue, qmail-send and qmail-todo.

use crate::Setting;

/// Settings of this group.
pub static ALL: &[&Setting] = &[];
