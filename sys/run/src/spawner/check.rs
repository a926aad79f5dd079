//! What a spawner demands of a command before it starts anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use wire::spawn::{self, Outcome};

use super::Delivery;

/// Longest message id.
const ID_BYTES_MAX: usize = 100;

/// The spawner's own checks of a command.
pub fn check(command: spawn::Command, owner: u32) -> Result<Delivery, (Outcome, &'static str)> {
    let id = &command.message;
    let failure = |text| Err((Outcome::Failure, text));
    let deferral = |text| Err((Outcome::Deferral, text));
    if id.is_empty() {
        return failure("Internal error: messid too short. (#5.3.5)\n");
    }
    if ID_BYTES_MAX < id.len() {
        return failure("Internal error: messid too long. (#5.3.5)\n");
    }
    let is_path = id[0].is_ascii_digit() && id.iter().all(|&b| b.is_ascii_digit() || b == b'/');
    let Some(path) = std::str::from_utf8(id).ok().filter(|_| is_path) else {
        return failure("Internal error: messid has nonnumerics. (#5.3.5)\n");
    };
    let Some(at) = command.recipient.iter().rposition(|&b| b == b'@') else {
        return failure("Sorry, address must include host name. (#5.1.3)\n");
    };
    let Ok(message) = open_message(path) else {
        return deferral("qmail-spawn unable to open message. (#4.3.0)\n");
    };
    let Ok(metadata) = message.metadata() else {
        return deferral("qmail-spawn unable to fstat message. (#4.3.0)\n");
    };
    if !metadata.is_file() {
        return deferral("Sorry, message has wrong type. (#4.3.5)\n");
    }
    if metadata.uid() != owner {
        return deferral("Sorry, message has wrong owner. (#4.3.5)\n");
    }
    Ok(Delivery {
        slot: command.slot,
        local: command.recipient[..at].to_vec(),
        domain: command.recipient[at + 1..].to_vec(),
        id: command.message,
        sender: command.sender,
        extra_headers: command.extra_headers,
        env_headers: command.env_headers,
        bytes: metadata.len(),
        message,
    })
}

/// Opens a message without following a link or waiting for a FIFO's writer.
fn open_message(path: &str) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
}
