//! Whole runs of qmail-local in homes made for the purpose.

mod hostile;
mod instructions;
mod mailboxes;
mod printing;
mod world;
