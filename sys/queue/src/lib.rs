//! The queue on disk: names, order of syncs, recovery
//! (queue-and-delivery.md §2).
//!
//! [`Writer`] puts messages in, [`sort`] and [`Batch`] preprocess them,
//! [`Outcomes`] sees them through, [`clean`] removes them, and [`load`] finds them again after a stop or a
//! crash. The order of operations is written once, over the small trait
//! [`FileSystem`], and tested by failing and stopping at every one of them.
//! Who does what when, and deliveries, are not here.
//!
//! Invariant: the number of a message is the inode number of its text.

mod additions;
mod archive;
mod batch;
mod clean;
mod create;
mod envelope;
mod error;
mod files;
#[cfg(test)]
mod formats;
mod holds;
mod intake;
mod layout;
mod load;
mod operator;
mod origins;
mod outcomes;
mod progress;
mod queues;
mod records;
mod sort;
mod space;
mod spare;
mod survey;
mod tcpto;
mod writer;

pub use additions::{Additions, is_fast};
pub use batch::{Batch, Synced, Unsynced};
pub use clean::{CleanError, clean};
pub use create::{Owners, TCPTO_BYTES, create, create_holds};
pub use envelope::Envelope;
pub use error::Error;
pub use files::{Disk, FileSystem, Status};
pub use holds::{Hold, HoldError, HoldTarget, holds, put_hold, release_hold, settle_holds};
pub use intake::{Addressing, Intake};
pub use layout::{Layout, LayoutError, SPLIT_DEFAULT};
pub use load::{Waiting, backlog, load, load_message};
pub use operator::{Operator, OperatorError, lock_out_senders, remove_message};
pub use origins::Origins;
pub use outcomes::{Closed, Left, Mark, Outcomes};
pub use progress::{Remainder, has_recipients, recipients, remainder};
pub use queues::{Queues, QueuesError};
pub use records::{Info, OwnedRecord, RECORD_BYTES_MAX, RecordReader};
pub use sort::{Found, How, Room, Sorted, Trouble, sort};
pub use space::{bytes_free_min, check_free};
pub use spare::SparePool;
pub use survey::{List, Stored, StoredRecipient, numbers, read_stored, stored_numbers};
pub use tcpto::{DownHost, Tcpto};
pub use writer::{Durability, EnvelopeHead, Queued, Recipients, Sync, Text, Writer};
