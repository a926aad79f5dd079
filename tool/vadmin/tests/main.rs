//! Whole commands in installations of their own.

mod domain;
mod house;
mod user;
