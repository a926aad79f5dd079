//! Commands about domains.

pub mod add;
pub mod delete;
pub mod info;
pub mod populate;
