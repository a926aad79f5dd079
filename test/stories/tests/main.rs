//! Whole-system tests that read like stories: a private installation, real
//! clients on one side, real servers on the other.

mod afar;
mod attacks;
mod boundaries;
mod clients;
mod commands;
mod crowds;
mod database;
mod dot_qmail;
mod faults;
mod first_minute;
mod foreign;
mod help;
mod injection;
mod killed;
mod notices;
mod optional;
mod ordinary_user;
mod planted;
mod qmtp;
mod queue_tools;
mod sending;
mod starved;
mod strangers;
mod supervision;
mod talk;
mod told;
mod users;
