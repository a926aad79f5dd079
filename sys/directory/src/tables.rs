//! The rows of our tables: every statement, once for all databases.

pub mod administrator;
pub mod alias;
pub mod app_password;
pub mod auth;
pub mod counters;
pub mod domain;
pub mod filter;
pub mod user;
