//! pop3d: serves mailboxes over POP3.

fn main() {}
