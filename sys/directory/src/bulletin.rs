//! Bulletins: one text, stored once, in many mailboxes
//! (virtual-domains.md §9.2).
//!
//! The texts are in `bulk_mail` of a domain. The first mailbox gets a copy of
//! one on the file system of the mailboxes, every mailbox a hard link to that
//! copy. Flags are in the name of a link, so nobody changes the text; a
//! mailbox that deletes it drops its link.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use nix::fcntl::OFlag;

use crate::User;

/// Directory with the texts of a domain, and with the copies.
pub const DIRECTORY: &str = "bulk_mail";
/// A text with this in its name is for everybody.
pub const FOR_ALL: &str = ",all";
/// Longest text.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Links of one copy; then there is a new one. Some file systems end here.
const LINKS_MAX: u64 = 32_000;
/// Texts one login brings.
const TEXTS_MAX: usize = 1000;
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o600;
/// In a Maildir: its time is that of the last text that was brought.
const MARK: &str = "BulkMail";

/// Texts of a domain, and where their copies are.
#[derive(Clone, Debug)]
pub struct Bulletins {
    texts: PathBuf,
    copies: PathBuf,
}

impl Bulletins {
    /// The texts in `domain_directory`, for mailboxes below `base`.
    pub fn of(domain_directory: &Path, base: &Path, domain: &str) -> Self {
        Self {
            texts: domain_directory.join(DIRECTORY),
            copies: base.join(DIRECTORY).join(domain),
        }
    }

    /// Where the texts are.
    pub fn texts(&self) -> &Path {
        &self.texts
    }

    /// Brings a mailbox what is new for everybody since the last time. Two
    /// logins at once bring it once. Says how many that were.
    pub fn bring_new(&self, user: &User) -> io::Result<usize> {
        let path = user.maildir().join(MARK);
        let seen = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.modified()?,
            // Nothing tells what was seen: everything old was.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        if self.new_since(seen)?.is_empty() {
            return Ok(0);
        }
        let mark = os::file::lock(OpenOptions::new().write(true).open(&path)?)?;
        let mut seen = mark.metadata()?.modified()?;
        let texts = self.new_since(seen)?;
        for (name, time) in &texts {
            self.bring(name, user)?;
            seen = seen.max(*time);
        }
        mark.set_modified(seen)?;
        Ok(texts.len())
    }

    /// Names and times of the texts for everybody that are newer, by name.
    fn new_since(&self, seen: SystemTime) -> io::Result<Vec<(String, SystemTime)>> {
        let entries = match std::fs::read_dir(&self.texts) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut new = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if !name.contains(FOR_ALL) || name.starts_with('.') {
                continue;
            }
            let metadata = entry.metadata()?;
            let time = metadata.modified()?;
            if metadata.is_file() && seen < time {
                new.push((name, time));
            }
        }
        new.sort();
        new.truncate(TEXTS_MAX);
        Ok(new)
    }

    /// Brings a mailbox one text; `false` when there is no such text.
    pub fn bring(&self, name: &str, user: &User) -> io::Result<bool> {
        if !is_name(name) {
            return Ok(false);
        }
        let text = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(self.texts.join(name));
        let mut text = match text {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            text => text?,
        };
        let metadata = text.metadata()?;
        if !metadata.is_file() || TEXT_BYTES_MAX < metadata.len() {
            return Ok(false);
        }
        let copy = self.copies.join(format!(
            "{name},{},{}",
            metadata.mtime(),
            metadata.mtime_nsec()
        ));
        let new = user.maildir().join("new");
        let size = metadata.len();
        let place = new.join(unique(size));
        for attempt in 0.. {
            match std::fs::hard_link(&copy, &place) {
                Ok(()) => break,
                Err(error) if 1 < attempt => {
                    // No links here: a copy of its own.
                    let Ok(()) = write_copy(&mut text, &place) else {
                        return Err(error);
                    };
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make_copy(&mut text, &copy)?;
                }
                Err(_) => {
                    // Too many links: those that are there keep it.
                    let _ = std::fs::remove_file(&copy);
                    self.make_copy(&mut text, &copy)?;
                }
            }
        }
        if LINKS_MAX < std::fs::metadata(&place)?.nlink() {
            let _ = std::fs::remove_file(&copy);
        }
        os::file::sync_directory(&new)?;
        count(&user.maildir(), size);
        Ok(true)
    }

    /// Makes the copy that mailboxes link to.
    fn make_copy(&self, text: &mut File, copy: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&self.copies)?;
        let beside = self.copies.join(format!(".{}", unique(0)));
        let made = write_copy(text, &beside).and_then(|()| std::fs::hard_link(&beside, copy));
        let _ = std::fs::remove_file(&beside);
        match made {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }
}

/// Puts a message of its own into a mailbox.
pub fn put(user: &User, message: &[u8]) -> io::Result<()> {
    let maildir = user.maildir();
    let name = unique(message.len() as u64);
    let beside = maildir.join("tmp").join(&name);
    let written = new_file(&beside).and_then(|mut file| {
        file.write_all(message)?;
        file.sync_all()?;
        std::fs::rename(&beside, maildir.join("new").join(&name))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    os::file::sync_directory(&maildir.join("new"))?;
    count(&maildir, message.len() as u64);
    Ok(())
}

/// A name that stays in its directory.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c.is_control())
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

fn write_copy(text: &mut File, path: &Path) -> io::Result<()> {
    use std::io::Seek as _;
    text.rewind()?;
    let mut file = new_file(path)?;
    let written = io::copy(&mut text.take(TEXT_BYTES_MAX), &mut file).and_then(|_| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

/// A name no other message has.
fn unique(size: u64) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (seconds, nanoseconds) = os::clock::now();
    let host: String = os::account::host_name()
        .chars()
        .map(|c| if matches!(c, '/' | ':' | ',') { '_' } else { c })
        .collect();
    format!(
        "{seconds}.M{}P{}Q{}.{host},S={size}",
        nanoseconds / 1000,
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Adds to the running totals of a mailbox, where it keeps them. They are
/// counted again when they are wrong.
fn count(maildir: &Path, size: u64) {
    let opened = OpenOptions::new()
        .append(true)
        .open(maildir.join("maildirsize"));
    if let Ok(mut file) = opened {
        let _ = file.write_all(format!("{size} 1\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::user;

    struct Place {
        root: tempfile::TempDir,
        bulletins: Bulletins,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let domain = root.path().join("domain");
            std::fs::create_dir_all(domain.join(DIRECTORY)).unwrap();
            let base = root.path().join("mail");
            let bulletins = Bulletins::of(&domain, &base, "example.com");
            Self { root, bulletins }
        }

        fn user(&self, name: &str) -> User {
            let mut user = user(name);
            user.dir = self.root.path().join("mail/x/example.com").join(name);
            crate::home::create(&user).unwrap();
            let mark = File::options()
                .write(true)
                .open(user.maildir().join(MARK))
                .unwrap();
            mark.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            user
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.bulletins.texts().join(name), text).unwrap();
        }
    }

    fn new_mail(user: &User) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(user.maildir().join("new")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_text_is_in_every_mailbox_and_on_disk_once() {
        let place = Place::new();
        place.write("note,all", "text\n");
        place.write("private", "not for all\n");
        let users = [place.user("ann"), place.user("joe")];
        std::fs::write(users[0].maildir().join("maildirsize"), "1000S\n").unwrap();
        for user in &users {
            assert_eq!(place.bulletins.bring_new(user).unwrap(), 1);
            assert_eq!(place.bulletins.bring_new(user).unwrap(), 0);
        }
        let files: Vec<PathBuf> = users.iter().flat_map(new_mail).collect();
        assert_eq!(files.len(), 2);
        let inode = |path: &PathBuf| {
            (
                path.metadata().unwrap().ino(),
                path.metadata().unwrap().nlink(),
            )
        };
        assert_eq!(inode(&files[0]), inode(&files[1]));
        assert_eq!(inode(&files[0]).1, 3);
        assert!(files[0].to_str().unwrap().ends_with(",S=5"));
        let totals = std::fs::read_to_string(users[0].maildir().join("maildirsize"));
        assert_eq!(totals.unwrap(), "1000S\n5 1\n");
    }

    #[test]
    fn a_changed_text_is_a_new_one_and_the_old_one_stays() {
        let place = Place::new();
        let joe = place.user("joe");
        place.write("note,all", "one\n");
        assert_eq!(place.bulletins.bring_new(&joe).unwrap(), 1);
        let mut file = File::options()
            .write(true)
            .truncate(true)
            .open(place.bulletins.texts().join("note,all"))
            .unwrap();
        file.write_all(b"two\n").unwrap();
        file.set_modified(SystemTime::now() + std::time::Duration::from_secs(5))
            .unwrap();
        assert_eq!(place.bulletins.bring_new(&joe).unwrap(), 1);
        let mut texts: Vec<String> = new_mail(&joe)
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        texts.sort();
        assert_eq!(texts, ["one\n", "two\n"]);
    }

    #[test]
    fn logins_at_once_bring_a_text_once() {
        let place = Place::new();
        let joe = place.user("joe");
        place.write("note,all", "text\n");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| place.bulletins.bring_new(&joe).unwrap());
            }
        });
        assert_eq!(new_mail(&joe).len(), 1);
    }

    #[test]
    fn names_stay_in_their_directory() {
        let place = Place::new();
        let joe = place.user("joe");
        std::fs::write(place.root.path().join("domain/secret"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", place.bulletins.texts().join("link,all")).unwrap();
        for name in ["../secret", "", ".", "a/b", "nothing", "a\nb"] {
            assert!(!place.bulletins.bring(name, &joe).unwrap(), "{name:?}");
        }
        assert!(place.bulletins.bring("link,all", &joe).is_err());
        assert_eq!(place.bulletins.bring_new(&joe).unwrap(), 0);
        assert!(new_mail(&joe).is_empty());
    }
}
