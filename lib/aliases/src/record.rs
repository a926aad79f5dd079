//! Records of a forwarding table (queue-and-delivery.md §6.10).

use crate::command::Command;

/// A key and its value as the table holds them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// `:` or `?`, then `user@host`, `@host` or `user@` in lower case.
    pub key: Vec<u8>,
    /// For `:` the commands, each ended by a NUL; for `?` the address that
    /// gets the bounces.
    pub data: Vec<u8>,
}

impl Record {
    /// What mail for a target becomes.
    pub fn target(target: &[u8], commands: &[Command<'_>]) -> Self {
        let mut data = Vec::new();
        for command in commands {
            data.extend(command.to_bytes());
            data.push(0);
        }
        Self {
            key: key(b':', target),
            data,
        }
    }

    /// Who gets the bounces of mail sent on for a target.
    pub fn owner(target: &[u8], owner: &[u8]) -> Self {
        Self {
            key: key(b'?', target),
            data: owner.to_vec(),
        }
    }
}

pub(crate) fn key(kind: u8, target: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(target.to_ascii_lowercase());
    key
}
