//! Who may send what to whom: the lists and rules of the control files, as
//! values that say what they matched.
//!
//! The files themselves are read elsewhere; nothing here touches the machine.

pub mod access;
pub mod addresses;
pub mod batv;
pub mod content;
pub mod engines;
pub mod envrules;
pub mod greylist;
pub mod hosts;
pub mod relay;
pub mod tcprules;

pub use access::{AccessList, HostAccess};
pub use addresses::{AddressList, BadPattern, Mode, Separator};
pub use engines::Engines;
pub use envrules::EnvRules;
pub use hosts::Hosts;
