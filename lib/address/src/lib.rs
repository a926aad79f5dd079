//! Reverse- and forward-paths, domains, VERP.
//!
//! An address in an envelope is bytes: what a peer wrote, checked for length
//! and control bytes, its local part unquoted. [`Quoted`] prints the form for
//! headers and SMTP again.

mod domain;
mod path;
mod quote;
mod routing;
mod verp;

pub use domain::{Domain, DomainError};
pub use path::{ADDRESS_BYTES_MAX, Address, AddressError, ForwardPath, ReversePath};
pub use quote::Quoted;
pub use routing::{Route, Routing, VirtualDomains};
pub use verp::{expand as verp_expand, origin as verp_origin};
