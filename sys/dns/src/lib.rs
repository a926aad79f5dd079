//! hickory-resolver behind our own small interface.
//!
//! Every answer is one of four things, and callers must not mix them up:
//! records, "there is no such name", "the name has no such records", and "ask
//! again later". Never an ANY query; EDNS, and TCP when an answer is cut.

mod error;
mod lists;
mod mx;
mod resolver;
#[cfg(test)]
mod server;

pub use address::Domain;
pub use error::Error;
pub use lists::{Listing, reversed};
pub use mx::Mx;
pub use resolver::{Resolver, configuration};
