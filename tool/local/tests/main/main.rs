//! Whole runs of the programs, as qmail-local starts them.

mod autoresponder;
mod fastforward;
mod lines;
mod mailboxes;
mod world;
