//! The system users and groups of operations.md §7.1.

use std::path::Path;
use std::process::Command;

use os::account::{Account, AccountError, Identity, group};

use super::InstallError;
use crate::site::{Mode, ROOT_OF_ROOT, Site};

/// The groups, in the order they are created.
const GROUPS: [&str; 4] = ["nofiles", "qmail", "indimail", "qcerts"];

/// The users with their primary groups and the place of their homes below the
/// main installation; programs use the directories of their own installation.
const USERS: [(&str, &str, &str); 10] = [
    ("alias", "nofiles", "alias"),
    ("qmaild", "nofiles", ""),
    ("qmaill", "nofiles", ""),
    ("qmailp", "nofiles", ""),
    ("qmailq", "qmail", ""),
    ("qmailr", "qmail", ""),
    ("qmails", "qmail", ""),
    ("indimail", "indimail", ""),
    ("qcerts", "qcerts", ""),
    ("qadmin", "nofiles", ""),
];

/// Creates the accounts that are missing; nothing in a single-user
/// installation.
pub fn create(site: &Site) -> Result<(), InstallError> {
    if site.mode == Mode::SingleUser {
        return Ok(());
    }
    for name in GROUPS {
        match group(name) {
            Ok(_) => {}
            Err(AccountError::UnknownGroup(_)) => {
                run(Command::new("groupadd").args(["--system", name]))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (name, group, place) in USERS {
        match Account::by_name(name) {
            Ok(_) => {}
            Err(AccountError::UnknownUser(_)) => {
                let home = Path::new(ROOT_OF_ROOT).join(place);
                run(Command::new("useradd")
                    .args([
                        "--system",
                        "--no-create-home",
                        "--shell",
                        "/usr/sbin/nologin",
                    ])
                    .args(["--gid", group, "--home-dir"])
                    .arg(home)
                    .arg(name))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes the accounts with the main installation; others on the same
/// machine share them and leave them.
pub fn remove(root: &Path) -> Result<(), InstallError> {
    if root != Path::new(ROOT_OF_ROOT) {
        return Ok(());
    }
    for (name, _, _) in USERS {
        if Account::by_name(name).is_ok() {
            run(Command::new("userdel").arg(name))?;
        }
    }
    Ok(())
}

/// The user and group a file or service of this installation has; the caller
/// itself in a single-user installation.
pub fn identity(mode: Mode, user: &str, group_name: &str) -> Result<Identity, AccountError> {
    match mode {
        Mode::SingleUser => Ok(Identity::of_this_process()),
        Mode::Separated => Ok(Identity {
            uid: if user == "root" {
                0
            } else {
                Account::by_name(user)?.identity.uid
            },
            gid: group(group_name)?,
        }),
    }
}

fn run(command: &mut Command) -> Result<(), InstallError> {
    super::programs::run(command).map(|_| ())
}
