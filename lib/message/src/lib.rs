//! Header fields of a message, and the lines we add to them.
//!
//! Works on bytes with LF line ends, as the queue holds them. Of bodies only
//! the headers of MIME parts are looked at ([`parts`]).

mod address_list;
mod collect;
mod date;
mod fields;
mod filter;
mod header;
mod host_rules;
pub mod parts;
mod received;
mod rewrite;
mod token;
mod watch;

pub use address_list::{AddressList, Piece};
pub use collect::{Collected, Collector, FIELD_BYTES_MAX, FIELDS_MAX, HEADER_BYTES_MAX};
pub use date::Date;
pub use fields::{Field, are_fields, body_offset, fields};
pub use filter::Filter;
pub use header::{HEADER_LINES_BYTES_MAX, HeaderLines, HeaderTooLong, Line};
pub use host_rules::{BadRule, HostRules};
pub use received::{Client, Origin, Received, received_text};
pub use rewrite::Names;
pub use token::{SyntaxError, Token};
pub use watch::HeaderWatch;
