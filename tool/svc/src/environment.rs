//! setuidgid, envuidgid, envdir: who a child is, and what it is told.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use os::account::Account;
use run::Exit;
use run::envdir::{self, Unreadable};

use crate::exec::{child, exec, usage};

/// Becomes an account, with its group as the only one, and runs the child. In
/// a single-user installation the account may be the caller's own.
pub fn setuidgid(arguments: &[OsString]) -> Result<u8, Exit> {
    let (account, rest) = account(arguments)?;
    let command = child(rest)?;
    account
        .identity
        .assume()
        .map_err(|error| Exit::new(run::TEMPORARY, format!("{error}; are you root?")))?;
    Err(exec(command))
}

/// Sets `UID` and `GID` for the child.
pub fn envuidgid(arguments: &[OsString]) -> Result<u8, Exit> {
    let (account, rest) = account(arguments)?;
    let mut command = child(rest)?;
    command.env("UID", account.identity.uid.to_string());
    command.env("GID", account.identity.gid.to_string());
    Err(exec(command))
}

fn account(arguments: &[OsString]) -> Result<(Account, &[OsString]), Exit> {
    let (name, rest) = arguments
        .split_first()
        .filter(|(_, r)| !r.is_empty())
        .ok_or_else(usage)?;
    let account = Account::by_name(&name.to_string_lossy());
    let account = account.map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
    Ok((account, rest))
}

/// Sets or removes a variable for each file of a directory.
pub fn envdir(arguments: &[OsString]) -> Result<u8, Exit> {
    let is_option = |argument: &&OsString| argument.as_bytes().starts_with(b"-");
    let count = arguments.iter().take_while(is_option).count();
    let options: Vec<u8> = arguments[..count]
        .iter()
        .flat_map(|o| o.as_bytes()[1..].to_vec())
        .collect();
    let (directory, rest) = arguments[count..].split_first().ok_or_else(usage)?;
    let mut command = child(rest)?;
    let (mut clears, mut ignores) = (false, false);
    for option in options {
        match option {
            b'c' => clears = true,
            b'i' => ignores = true,
            _ => return Err(usage()),
        }
    }
    if clears {
        command.env_clear();
    }
    let unreadable = match ignores {
        true => Unreadable::Ignored,
        false => Unreadable::Refused,
    };
    let variables = envdir::read(Path::new(directory), unreadable)
        .map_err(|error| Exit::new(run::TEMPORARY, run::chain(&error)))?;
    for (name, content) in variables {
        match content {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Err(exec(command))
}
