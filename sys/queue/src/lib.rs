//! The queue on disk: names, order of syncs, recovery
//! (queue-and-delivery.md §2).
//!
//! [`Writer`] puts messages in; the order of its operations is written once,
//! over the small trait [`FileSystem`], and tested by failing and stopping at
//! every one of them. Scheduling and deliveries are not here.
//!
//! Invariant: the number of a message is the inode number of its text.

mod additions;
mod archive;
mod create;
mod envelope;
mod error;
mod files;
mod intake;
mod layout;
mod origins;
mod queues;
mod records;
mod space;
mod writer;

pub use additions::Additions;
pub use create::{Owners, TCPTO_BYTES, create};
pub use envelope::Envelope;
pub use error::{Error, report};
pub use files::{Disk, FileSystem};
pub use intake::{Addressing, Intake};
pub use layout::{Layout, LayoutError, SPLIT_DEFAULT};
pub use origins::Origins;
pub use queues::{Queues, QueuesError};
pub use records::{Info, OwnedRecord, RECORD_BYTES_MAX, RecordReader, mark_done};
pub use space::{bytes_free_min, check_free};
pub use writer::{Durability, EnvelopeHead, Queued, Recipients, Sync, Text, Writer};
