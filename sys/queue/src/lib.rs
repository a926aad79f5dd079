//! The queue on disk: names, order of syncs, recovery
//! (queue-and-delivery.md §2).

mod layout;
mod records;

pub use layout::{Layout, LayoutError, SPLIT_DEFAULT};
pub use records::{Info, OwnedRecord, RECORD_BYTES_MAX, RecordReader, mark_done};
