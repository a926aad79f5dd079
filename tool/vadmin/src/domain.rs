//! Commands about domains.

pub mod add;
pub mod alias;
pub mod delete;
pub mod info;
pub mod modify;
pub mod populate;
pub mod rename;
