//! Whole commands in installations of their own.

mod bulk;
mod domain;
mod filter;
mod house;
mod user;
