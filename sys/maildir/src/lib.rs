//! Maildir, Maildir++, mbox, quota and the mailbox index.
//!
//! An [`Account`] is one user's Maildir with its folders (Maildir++), a
//! [`Mailbox`] one open folder as one session sees it. Beside each folder's
//! `cur`, `new` and `tmp` stands the file `indimail.index`: UIDs, keywords,
//! modification sequences and sizes. It can be deleted at any time; what it
//! says is rebuilt from the file names, under a new UIDVALIDITY.
//!
//! Invariants:
//! - A message is a file whose base name (up to `:`) never changes. System
//!   flags live in the rest of its name, so any Maildir program sees them.
//! - A UID belongs to one base name for ever; it is on disk before anybody is
//!   told.
//! - Whoever assigns UIDs, renames or removes files holds the folder's lock
//!   (`indimail.lock`). Deliveries do not: they only add to `new`.
//! - Other programs may rename and remove files at any time. A file that is
//!   not where it was is looked for again, and only called gone when two scans
//!   in a row do not show it.
//!
//! Everything here blocks; async programs call it on a blocking thread.

pub mod deliver;
pub mod mbox;
pub mod quota;

mod account;
mod begin;
mod error;
mod flags;
mod folder;
mod import;
mod index;
mod lock;
mod mailbox;
mod name;
mod rescan;
mod scan;
mod staged;
mod store;
mod transfer;
mod wire;

pub use account::Account;
pub use error::Error;
pub use flags::{FlagOperation, FlagSet, Flags, KEYWORD_BYTES_MAX, KEYWORDS_MAX, System};
pub use folder::{FOLDER_BYTES_MAX, FolderName, NameError};
pub use index::{Index, Message};
pub use mailbox::{Access, Changes, Mailbox};
pub use name::{FileName, Place};
pub use staged::Staged;
pub use store::{Only, Stored};
pub use wire::to_crlf;
