//! The index of one folder: what file names do not say.
//!
//! `indimail.index` is a header and records, each with a checksum. It is only
//! ever appended to or replaced as a whole, under the folder's lock; readers
//! take no lock, and leave a record alone that is not complete yet.
//!
//! Every UID costs at least [`record::ADD_BYTES_MIN`] bytes of records. So
//! when some bytes turn out to be damaged, UIDs go on behind the most that
//! could have been given out in them: a UID is never used twice.

mod file;
mod record;
mod state;

pub use file::Index;
pub(crate) use file::next_uid_validity;
pub(crate) use record::Record;
pub use state::Message;
pub(crate) use state::{Effect, State};
