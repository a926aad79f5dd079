//! setuidgid, envuidgid, envdir: who a child is, and what it is told.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use os::account::Account;
use run::Exit;

use crate::exec::{child, exec, system, usage};

/// Longest value of a variable.
const VALUE_BYTES_MAX: usize = 128 * 1024;

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
    let directory = Path::new(directory);
    for (name, content) in read_files(directory, ignores)? {
        match content {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Err(exec(command))
}

/// A variable and its value; `None` removes it.
type Variable = (OsString, Option<OsString>);

fn read_files(directory: &Path, ignores: bool) -> Result<Vec<Variable>, Exit> {
    let read = || system(format!("read directory {}", directory.display()));
    let mut variables = Vec::new();
    for entry in fs::read_dir(directory).map_err(read())? {
        let name = entry.map_err(read())?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let path = directory.join(&name);
        if name.as_bytes().contains(&b'=') {
            let error = io::Error::other("a variable's name cannot have =");
            return Err(system(format!("use {}", path.display()))(error));
        }
        match fs::read(&path) {
            Ok(content) => variables.push((name, value(&content))),
            Err(_) if ignores => {}
            Err(error) => return Err(system(format!("read {}", path.display()))(error)),
        }
    }
    Ok(variables)
}

/// The first line without blanks at its end, NUL as newline; nothing at all
/// in the file removes the variable, an empty line makes it empty.
fn value(content: &[u8]) -> Option<OsString> {
    if content.is_empty() {
        return None;
    }
    let line = content.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(VALUE_BYTES_MAX)];
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    let value = line[..end].iter().map(|&b| if b == 0 { b'\n' } else { b });
    Some(OsString::from_vec(value.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_and_an_empty_line_differ() {
        assert_eq!(value(b""), None);
        assert_eq!(value(b"\n"), Some("".into()));
        assert_eq!(value(b"a b \t\nsecond"), Some("a b".into()));
        assert_eq!(value(b"a\0b"), Some("a\nb".into()));
    }
}
