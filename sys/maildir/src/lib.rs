//! Maildir, Maildir++, mbox, quota and the mailbox index.

pub mod deliver;
pub mod mbox;
pub mod quota;
