//! IMAP4rev1 sessions without sockets.
//!
//! A [`Session`] takes what a client sends, asks its driver what it needs to
//! know and says what to send (RFC 3501 with LITERAL+, SASL-IR, UIDPLUS, MOVE,
//! IDLE, UNSELECT, SPECIAL-USE, LIST-EXTENDED, LIST-STATUS, QUOTA, ESEARCH,
//! SORT, THREAD, UTF8=ACCEPT and others, see `Session`).
//!
//! It knows no file, socket or clock. Messages are read by the driver and
//! taken apart here: [`mime`] makes one tree that structures, sections and
//! searches share. The grammar is ours, in [`parse`], since every limit must
//! hold before anything is allocated; encoded words, transfer encodings and
//! character sets are undone by mail-parser.

pub mod address;
pub mod ask;
pub mod command;
pub mod date;
pub mod decode;
pub mod envelope;
pub mod flags;
pub mod folder;
pub mod header;
mod input;
pub mod mime;
pub mod parse;
pub mod search;
pub mod section;
pub mod session;
pub mod set;
pub mod sort;
pub mod thread;
pub mod view;
pub mod write;

pub use ask::{Answer, Copied, Counts, FolderChange, Question, Quota, Refusal};
pub use session::{Config, Counters, End, Security, Session, Step};
