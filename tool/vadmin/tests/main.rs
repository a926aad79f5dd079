//! Whole commands in installations of their own.

mod administration;
mod bulk;
mod cluster;
mod domain;
mod filter;
mod house;
mod naming;
mod user;
