//! Whole commands in installations of their own.

mod domain;
mod filter;
mod house;
mod user;
