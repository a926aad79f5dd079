//! Whole-system tests that read like stories: a private installation, real
//! clients on one side, real servers on the other.

mod attacks;
mod clients;
mod commands;
mod dot_qmail;
mod faults;
mod first_minute;
mod foreign;
mod injection;
mod killed;
mod ordinary_user;
mod sending;
mod supervision;
mod talk;
mod users;
