//! Whole runs of pop3d: a real client (python3's poplib), a false inlookup
//! and a false signer.

mod encrypted;
mod plain;
mod world;
