//! Home directories on disk: making and removing them
//! (virtual-domains.md §3.7).

use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};

use crate::{Error, User};

/// Of directories between the base directory and a home.
const TREE_MODE: u32 = 0o750;
/// Of a home and all in it: mail is nobody else's business.
const HOME_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a user's home and Maildir, as the user this process is. What is
/// there already stays.
///
/// Besides `cur`, `new` and `tmp` a Maildir holds `domain`, the name of the
/// domain, and `BulkMail`, whose time says which bulletins were seen: it has
/// to be there from the beginning, or old ones are delivered.
pub fn create(user: &User) -> Result<(), Error> {
    let maildir = user.maildir();
    let error = |source| Error::File {
        path: maildir.clone(),
        source,
    };
    if let Some(parent) = user.dir.parent() {
        directories(parent, TREE_MODE).map_err(error)?;
    }
    for directory in [user.dir.clone(), maildir.clone()] {
        directories(&directory, HOME_MODE).map_err(error)?;
    }
    for name in ["cur", "new", "tmp"] {
        directories(&maildir.join(name), HOME_MODE).map_err(error)?;
    }
    file(
        &maildir.join("domain"),
        format!("{}\n", user.domain).as_bytes(),
    )
    .map_err(error)?;
    file(&maildir.join("BulkMail"), b"").map_err(error)?;
    for directory in [&maildir, &user.dir] {
        os::file::sync_directory(directory).map_err(error)?;
    }
    match user.dir.parent() {
        Some(parent) => os::file::sync_directory(parent).map_err(error),
        None => Ok(()),
    }
}

/// Makes a directory with its parents; the mode holds for those made here.
pub fn directories(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn file(path: &Path, content: &[u8]) -> io::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(mut file) => {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.write_all(content)?;
            file.sync_all()
        }
    }
}

/// Removes a directory with everything in it, unless its path lacks one of
/// these components: a damaged or empty path must not remove what belongs to
/// others. A symbolic link is removed, not followed. `false` when nothing was
/// there.
pub fn remove(path: &Path, components: &[&str]) -> Result<bool, Error> {
    let named = |name: &&str| {
        path.components()
            .any(|part| part == Component::Normal(OsStr::new(name)))
    };
    let plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    if !plain || components.iter().any(|name| name.is_empty()) || !components.iter().all(named) {
        return Err(Error::Value {
            field: "directory",
            problem: format!(
                "{} is not removed: it does not look like {components:?}",
                path.display()
            ),
        });
    }
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_complete_and_private() {
        let base = tempfile::tempdir().unwrap();
        let user = User {
            name: "joe".to_owned(),
            domain: "example.com".to_owned(),
            password_hash: String::new(),
            gid_flags: 0,
            gecos: String::new(),
            dir: base.path().join("F2K/example.com/joe"),
            quota: String::new(),
            scram: None,
            active: true,
            uid_state: 1,
        };
        create(&user).unwrap();
        create(&user).unwrap();
        for name in ["cur", "new", "tmp"] {
            let mode = user
                .maildir()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        let domain = std::fs::read_to_string(user.maildir().join("domain")).unwrap();
        assert_eq!(domain, "example.com\n");
        assert!(user.maildir().join("BulkMail").exists());
        assert!(remove(&user.dir, &["example.com", "joe"]).unwrap());
        assert!(!remove(&user.dir, &["example.com", "joe"]).unwrap());
    }

    #[test]
    fn removal_refuses_what_is_not_named_and_does_not_follow_links() {
        let base = tempfile::tempdir().unwrap();
        let precious = base.path().join("precious");
        std::fs::create_dir(&precious).unwrap();
        std::fs::write(precious.join("mail"), "x").unwrap();
        let link = base.path().join("example.com");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        for path in [
            Path::new("/"),
            Path::new(""),
            Path::new("joe"),
            &precious,
            &link.join("../x/joe"),
        ] {
            assert!(remove(path, &["example.com"]).is_err(), "{path:?}");
        }
        assert!(remove(&link, &[""]).is_err());
        assert!(remove(&link, &["example.com"]).unwrap());
        assert!(precious.join("mail").exists());
    }
}
