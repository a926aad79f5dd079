//! Users, processes, descriptors, locks and sandboxes.
//!
//! The only crate with `unsafe` code: everything else in the tree forbids it.
//! Each block here is a few lines long and says why its contract holds.

pub mod account;
pub mod beneath;
pub mod child;
pub mod clock;
pub mod fd;
pub mod file;
pub mod group_sync;
pub mod sandbox;
pub mod shadow;
pub mod signal;
pub mod socket;
