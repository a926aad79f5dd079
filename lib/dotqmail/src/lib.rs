//! The language of `.qmail` files, without executing it (dot-qmail(5)).
//!
//! Which files may hold the instructions of an address ([`candidates`]), what
//! their lines mean ([`instructions`]), what programs find in their
//! environment ([`Facts::variables`]) and which sender forwards get
//! ([`forward_sender`]). Nothing here opens a file or starts a program.
//!
//! Addresses are hostile: a name from [`candidates`] never leaves the home
//! directory, whatever the extension says.

mod environment;
mod instruction;
mod name;
mod sender;
mod virtual_line;

pub use environment::Facts;
pub use instruction::{Instruction, instructions};
pub use name::{Candidate, candidates, owner_files, safe_extension};
pub use sender::{OwnerFiles, forward_sender};
pub use virtual_line::{VirtualProgram, virtual_line};
