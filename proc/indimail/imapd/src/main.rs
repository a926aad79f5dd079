//! imapd: serves mailboxes over IMAP4rev1.

fn main() {}
