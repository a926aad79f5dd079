//! Where a virtual user's mail is, and making it when it is not there yet
//! (virtual-domains.md §3.7).

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::io_trouble;
use crate::outcome::{Outcome, Step};
use crate::users::User;

const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;
const SUBDIRECTORIES: [&str; 3] = ["cur", "new", "tmp"];
/// Made last, when everything else is on disk: another delivery that finds it
/// may rely on that. Its time says which bulletins the user has seen.
const INBOX_MARK: &str = "BulkMail";
/// The same for folders. An inbox never has it: readers would loop.
const FOLDER_MARK: &str = "maildirfolder";

/// The user's inbox, or one of its folders; whatever is missing is made.
pub(super) fn maildir(user: &User, folder: Option<&[u8]>) -> Step<PathBuf> {
    if !is_clean(&user.dir) {
        return Err(Outcome::temporary(format_args!(
            "home directory of {} is not an absolute path. indimail (#4.3.5)",
            super::shown(&user.address())
        )));
    }
    let inbox = user.dir.join("Maildir");
    let fail = |error| io_trouble("create mailbox", &error);
    if !is_there(&inbox.join(INBOX_MARK)) {
        create_home(user, &inbox).map_err(fail)?;
    }
    let Some(folder) = folder else {
        return Ok(inbox);
    };
    let path = inbox.join(OsStr::from_bytes(&folder_name(folder)?));
    if !is_there(&path.join(FOLDER_MARK)) {
        create_maildir(&path)
            .and_then(|()| os::file::sync_directory(&inbox))
            .and_then(|()| write_once(&path.join(FOLDER_MARK), b""))
            .map_err(fail)?;
    }
    Ok(path)
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// A folder's directory: a dot in front, never a way out of the mailbox.
fn folder_name(folder: &[u8]) -> Step<Vec<u8>> {
    let name = match folder {
        [b'.', ..] => folder.to_vec(),
        _ => [b".", folder].concat(),
    };
    let dots = name.windows(2).any(|pair| pair == b"..");
    if name.len() < 2 || dots || name.iter().any(|&b| b == b'/' || b.is_ascii_control()) {
        return Err(Outcome::permanent("invalid folder name. indimail (#5.1.3)"));
    }
    Ok(name)
}

/// The maildir a site named for mail to unknown users.
pub(super) fn catch_all(path: &[u8]) -> Step<PathBuf> {
    let path = PathBuf::from(OsStr::from_bytes(path));
    if !is_clean(&path) {
        return Err(Outcome::permanent(
            "invalid path of a mailbox. indimail (#5.1.3)",
        ));
    }
    Ok(match path.file_name() {
        Some(name) if name == "Maildir" => path,
        _ => path.join("Maildir"),
    })
}

/// Says whether a path is absolute and goes nowhere but down.
pub(super) fn is_clean(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

fn create_home(user: &User, inbox: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(&user.dir)?;
    std::fs::set_permissions(&user.dir, Permissions::from_mode(DIRECTORY_MODE))?;
    create_maildir(inbox)?;
    write_once(
        &inbox.join("domain"),
        format!("{}\n", user.domain).as_bytes(),
    )?;
    // What delivery makes durable would be nothing in a directory that is
    // lost: sync from the inside out.
    for directory in [Some(inbox), Some(&*user.dir), user.dir.parent()] {
        directory.map_or(Ok(()), os::file::sync_directory)?;
    }
    write_once(&inbox.join(INBOX_MARK), b"")
}

/// Makes a maildir. Two deliveries may do so at the same time.
pub(super) fn create_maildir(path: &Path) -> io::Result<()> {
    let paths = SUBDIRECTORIES.map(|name| path.join(name));
    for directory in std::iter::once(path.to_owned()).chain(paths) {
        let made = DirBuilder::new().mode(DIRECTORY_MODE).create(&directory);
        match made {
            Ok(()) => {
                std::fs::set_permissions(&directory, Permissions::from_mode(DIRECTORY_MODE))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    os::file::sync_directory(path)
}

fn write_once(path: &Path, content: &[u8]) -> io::Result<()> {
    let opened = File::options()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match opened {
        Ok(mut file) => file.write_all(content),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_leads_out_of_the_mailbox() {
        assert_eq!(folder_name(b"Junk").unwrap(), b".Junk");
        assert_eq!(folder_name(b".A.B").unwrap(), b".A.B");
        for name in [
            &b"../../y"[..],
            b"..",
            ".".as_bytes(),
            b"a/b",
            b"a..b",
            b"",
            b"a\0b",
        ] {
            assert!(folder_name(name).is_err(), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn only_clean_paths_are_mailboxes() {
        assert_eq!(catch_all(b"/a/b").unwrap(), Path::new("/a/b/Maildir"));
        assert_eq!(catch_all(b"/a/Maildir/").unwrap(), Path::new("/a/Maildir"));
        assert!(catch_all(b"/a/../b").is_err());
        assert!(!is_clean(Path::new("a/b")));
    }
}
