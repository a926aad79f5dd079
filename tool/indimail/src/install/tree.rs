//! The directories of an installation, with owners and modes
//! (operations.md §7.2; tighter where the guide gives the network daemons
//! more than they need).

use std::fs;
use std::path::Path;

use os::beneath::Directory as Open;

use super::{InstallError, accounts, file_error};
use crate::site::Site;

/// One directory: path below the root, user, group, mode.
pub struct Directory {
    /// Path below the root; empty for the root itself.
    pub path: &'static str,
    /// Owner.
    pub user: &'static str,
    /// Group.
    pub group: &'static str,
    /// Permission bits.
    pub mode: u32,
}

const fn directory(
    path: &'static str,
    user: &'static str,
    group: &'static str,
    mode: u32,
) -> Directory {
    Directory {
        path,
        user,
        group,
        mode,
    }
}

/// All directories, parents first.
pub const DIRECTORIES: &[Directory] = &[
    directory("", "root", "qmail", 0o755),
    directory("bin", "root", "qmail", 0o755),
    directory("control", "root", "qmail", 0o755),
    directory("users", "root", "qmail", 0o755),
    directory("alias", "alias", "qmail", 0o2755),
    directory("queue", "qmailq", "qmail", 0o750),
    directory("domains", "indimail", "indimail", 0o755),
    directory("mail", "indimail", "indimail", 0o755),
    directory("db", "indimail", "indimail", 0o700),
    directory("etc", "root", "indimail", 0o755),
    // qmail-remote finds `tlshosts` in it by name; nobody else gets in.
    directory("certs", "qcerts", "qmail", 0o710),
    directory("service", "root", "qmail", 0o755),
    directory("log", "root", "qmail", 0o755),
    directory("doc", "root", "qmail", 0o755),
    directory("run", "root", "qmail", 0o755),
    // qscanq works as who calls it: qmail-smtpd's user. Others set SCANDIR.
    directory("qscanq", "root", "qmail", 0o755),
    directory("qscanq/root", "root", "qmail", 0o755),
    directory("qscanq/root/scanq", "qmaild", "nofiles", 0o700),
    // One directory a socket, so that nobody but its service can make it.
    directory("run/trace", "qmaill", "nofiles", 0o755),
    directory("run/queue", "qmailq", "qmail", 0o755),
    directory("run/inlookup", "indimail", "indimail", 0o755),
    directory("run/deliver", "indimail", "indimail", 0o755),
    // Its user has others, too; root opens the socket.
    directory("run/verifier", "root", "qmail", 0o755),
    directory("run/signer", "qcerts", "qcerts", 0o755),
    directory("run/admin", "root", "qmail", 0o755),
];

/// Creates what is missing and sets owners and modes.
pub fn create(site: &Site) -> Result<(), InstallError> {
    for entry in DIRECTORIES {
        let path = site.home.root().join(entry.path);
        fs::create_dir_all(&path).map_err(file_error("create directory", &path))?;
        let owner = accounts::identity(site.mode, entry.user, entry.group)?;
        let settle = || {
            let found = Open::open(&path)?.entry("")?;
            found.give(owner)?;
            found.set_mode(entry.mode)
        };
        settle().map_err(file_error("give away directory", &path))?;
    }
    link(&site.home.root().join("sbin"), Path::new("bin"))
}

/// Makes a symbolic link say what it should.
pub fn link(path: &Path, target: &Path) -> Result<(), InstallError> {
    match fs::read_link(path) {
        Ok(found) if found == target => return Ok(()),
        Ok(_) => fs::remove_file(path).map_err(file_error("replace link", path))?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(target, path).map_err(file_error("create link", path))
}
