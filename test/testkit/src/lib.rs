//! Private installations, real clients and foreign servers for tests.
//!
//! Everything runs on loopback in a directory of its own and is stopped by
//! pid when its value is dropped, so tests run side by side.

mod disk;
mod dns;
mod executable;
mod installation;
mod mariadb;
mod ports;
mod postfix;
mod program;
mod queue;
mod sink;

pub use disk::{Filling, SmallDisk};
pub use dns::Dns;
pub use executable::{copy_program, write_script};
pub use installation::{Builder, Installation, USER_PASSWORD};
pub use mariadb::Mariadb;
pub use ports::{PortRange, free_port};
pub use postfix::Postfix;
pub use program::{Background, Ran, run, wait_for};
pub use queue::new_queue;
pub use sink::Sink;

use std::path::PathBuf;

/// Where the programs under test are: beside the test programs themselves,
/// one directory up.
///
/// # Panics
/// When this program has no path, which no supported system does.
pub fn built_programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test program has a path");
    let directory = test.parent().expect("a program is in a directory");
    match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().expect("deps is in a directory").into(),
        _ => directory.into(),
    }
}
