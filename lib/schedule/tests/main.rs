//! Seven days of a queue under a virtual clock, from a seed.
//!
//! What qmail-send, qmail-todo, the spawners and the disk do around the
//! scheduler is modelled here; every decision is the scheduler's.

mod ledger;
mod peers;
mod random;
mod sending;
mod week;
mod world;
