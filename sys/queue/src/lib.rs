//! The queue on disk: names, order of syncs, recovery
//! (queue-and-delivery.md §2).
//!
//! [`Writer`] puts messages in; the order of its operations is written once,
//! over the small trait [`FileSystem`], and tested by failing and stopping at
//! every one of them. Scheduling and deliveries are not here.
//!
//! Invariant: the number of a message is the inode number of its text.

mod additions;
mod create;
mod error;
mod files;
mod holds;
mod intake;
mod layout;
mod operator;
mod origins;
mod queues;
mod records;
mod survey;
mod tcpto;
mod writer;

pub use additions::Additions;
pub use create::{Owners, TCPTO_BYTES, create, create_holds};
pub use error::{Error, report};
pub use files::{Disk, FileSystem};
pub use holds::{Hold, HoldError, HoldTarget, holds, put_hold, release_hold, settle_holds};
pub use intake::{Addressing, Intake};
pub use layout::{Layout, LayoutError, SPLIT_DEFAULT};
pub use operator::{Operator, OperatorError, lock_out_senders, remove_message};
pub use origins::Origins;
pub use queues::{Queues, QueuesError};
pub use records::{Info, OwnedRecord, RECORD_BYTES_MAX, RecordReader, mark_done};
pub use survey::{List, Stored, StoredRecipient, numbers, read_stored, stored_numbers};
pub use tcpto::{DownHost, Tcpto};
pub use writer::{Durability, EnvelopeHead, Queued, Recipients, Sync, Text, Writer};
