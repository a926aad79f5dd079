//! Can the users of the services get to the installation at all?

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use os::account::{Account, Identity};
use os::child::Setup;

use super::InstallError;
use crate::site::{Mode, Site};

/// Permission bit: others may pass through.
const OTHERS_PASS: u32 = 0o001;
/// A user of the services that owns nothing.
const USER: &str = "qmaild";

/// Looks at every directory above the root: services have users of their own,
/// and one that they cannot pass makes each of them fail in its own words.
pub fn check(site: &Site) -> Result<(), InstallError> {
    if site.mode == Mode::SingleUser {
        return Ok(());
    }
    let user = Account::by_name(USER).ok().map(|user| user.identity);
    let mut above: Vec<&Path> = site.home.root().ancestors().skip(1).collect();
    above.reverse();
    match above.into_iter().find(|path| !is_passable(path, user)) {
        None => Ok(()),
        Some(closed) => Err(InstallError::Closed(closed.to_owned())),
    }
}

fn is_passable(directory: &Path, user: Option<Identity>) -> bool {
    match fs::metadata(directory) {
        Ok(found) if found.mode() & OTHERS_PASS != 0 => true,
        // An access control list may let the user pass all the same.
        Ok(_) => user.is_some_and(|user| can_enter(directory, user)),
        // Whoever uses it next says what is wrong.
        Err(_) => true,
    }
}

fn can_enter(directory: &Path, user: Identity) -> bool {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).current_dir(directory);
    let setup = Setup {
        identity: Some(user),
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    command.status().is_ok_and(|status| status.success())
}
