//! The ways into the queue, as those see them who have a message
//! (queue-and-delivery.md §3.1.3, §3.1.6).
//!
//! [`Way::choose`] says which way a message goes: nowhere, through a program
//! with the interface of qmail-queue(8), or through the persistent writer.
//! [`Program`] starts such a program, [`Submission`] brings one message there
//! by either way and waits, and [`Refused`] is what callers are told. Those
//! who must not wait (qmail-send, qmail-smtpd) move the bytes themselves, with
//! the same [`Program`], [`records`] and [`Refused`].

mod program;
mod refused;
pub mod srs;
mod submission;
mod way;

pub use program::{Program, Running, locate};
pub use refused::{CUSTOM_BYTES_MAX, Code, Refused, verdict};
pub use submission::{Queued, Submission};
pub use way::Way;

/// An envelope as queue programs read it: `F` sender NUL, `T` recipient NUL
/// for each recipient, NUL.
pub fn records(sender: &[u8], recipients: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    text::records::append(&mut records, b'F', sender);
    for recipient in recipients {
        text::records::append(&mut records, b'T', recipient);
    }
    records.push(0);
    records
}
