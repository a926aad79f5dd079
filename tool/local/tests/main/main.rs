//! Whole runs of the programs, as qmail-local starts them.

mod fastforward;
mod lines;
mod world;
