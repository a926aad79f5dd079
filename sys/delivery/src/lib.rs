//! Local delivery: .qmail instructions and virtual mailboxes carried out.
