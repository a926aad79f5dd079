//! The queue on disk: names, order of syncs, recovery
//! (queue-and-delivery.md §2).

mod layout;

pub use layout::{Layout, LayoutError, SPLIT_DEFAULT};
