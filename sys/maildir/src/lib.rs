//! Maildir, Maildir++, mbox, quota and the mailbox index.
