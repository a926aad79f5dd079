//! IMAP4rev1 sessions without sockets.
