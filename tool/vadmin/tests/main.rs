//! Whole commands in installations of their own.

mod bulk;
mod domain;
mod house;
mod user;
