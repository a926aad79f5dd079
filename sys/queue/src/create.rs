//! A new, empty queue.

use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use os::account::Identity;
use os::beneath::{Directory, Entry};

use crate::SPLIT_DEFAULT;

/// Size of the table of hosts that are down.
pub const TCPTO_BYTES: usize = 2048;

/// The users a queue belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owners {
    /// Owns the queue: `qmailq`, group `qmail`.
    pub qmailq: Identity,
    /// Owns what qmail-send writes: `qmails`.
    pub qmails: Identity,
    /// Owns the table of hosts that are down: `qmailr`.
    pub qmailr: Identity,
}

/// Which of them.
#[derive(Clone, Copy)]
enum Owner {
    Queue,
    Send,
    Remote,
}

/// Directories: name, split or not, owner, mode
/// (queue-and-delivery.md §2.2).
const DIRECTORIES: [(&str, bool, Owner, u32); 11] = [
    ("pid", false, Owner::Queue, 0o700),
    ("mess", true, Owner::Queue, 0o750),
    ("intd", false, Owner::Queue, 0o700),
    ("todo", false, Owner::Queue, 0o750),
    ("info", true, Owner::Send, 0o700),
    ("local", true, Owner::Send, 0o700),
    ("remote", true, Owner::Send, 0o700),
    ("bounce", false, Owner::Send, 0o700),
    ("lock", false, Owner::Queue, 0o750),
    ("trash", false, Owner::Queue, 0o700),
    (HOLD, false, Owner::Send, 0o700),
];

/// What operators hold, and the socket on which qmail-send answers them. The
/// original does not have it and does not mind it.
const HOLD: &str = "hold";

/// Creates the queue at `root`, or what is missing of it, with owners and
/// modes as documented. `None` for owners in a single-user installation:
/// everything then belongs to the caller. A queue that exists keeps its split
/// and its content. What its users may have put in the way, a symbolic link
/// or somebody else's file, is an error and stays as it is.
pub fn create(root: &Path, owners: Option<&Owners>) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::create_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let queue = Directory::open(root)?;
    let split = crate::Layout::detect(root).map_or(SPLIT_DEFAULT, |layout| layout.split());
    directory(&queue, "", owners, Owner::Queue, 0o750)?;
    for (name, is_split, owner, mode) in DIRECTORIES {
        directory(&queue, name, owners, owner, mode)?;
        for n in (0..split).filter(|_| is_split) {
            directory(&queue, &format!("{name}/{n}"), owners, owner, mode)?;
        }
        // What is accepted later is synced no further up than here.
        queue.sync(name)?;
    }
    file(&queue, "lock/sendmutex", &[], owners, Owner::Send, 0o600)?;
    let empty = [0; TCPTO_BYTES];
    file(&queue, "lock/tcpto", &empty, owners, Owner::Remote, 0o644)?;
    // Everybody who may write to the queue may wake qmail-send.
    trigger(&queue, owners).map_err(|error| named("lock/trigger", error))?;
    queue.sync("lock")?;
    queue.sync("")?;
    root.parent().map_or(Ok(()), os::file::sync_directory)
}

/// Makes the directory of holds in a queue that has none: one that another
/// release made. `owner` is `qmails`.
pub fn create_holds(root: &Path, owner: Option<Identity>) -> io::Result<()> {
    let queue = Directory::open(root)?;
    if let Some(found) = queue.find(HOLD)? {
        return match found.metadata().is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        };
    }
    queue.make_directory(HOLD, 0o700)?;
    owner.map_or(Ok(()), |owner| queue.entry(HOLD)?.give(owner))
}

fn directory(
    queue: &Directory,
    name: &str,
    owners: Option<&Owners>,
    owner: Owner,
    mode: u32,
) -> io::Result<()> {
    let make = || {
        match queue.make_directory(name, mode) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = queue.entry(name)?;
        if !found.metadata().is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        own(&found, owners, owner)?;
        found.set_mode(mode)
    };
    make().map_err(|error| named(name, error))
}

fn file(
    queue: &Directory,
    name: &str,
    content: &[u8],
    owners: Option<&Owners>,
    owner: Owner,
    mode: u32,
) -> io::Result<()> {
    let make = || {
        match queue.create(name, mode) {
            Ok(mut file) => file.write_all(content)?,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        let found = queue.entry(name)?;
        if !found.metadata().is_file() {
            return Err(io::Error::other("is no file"));
        }
        own(&found, owners, owner)?;
        found.set_mode(mode)
    };
    make().map_err(|error| named(name, error))
}

fn trigger(queue: &Directory, owners: Option<&Owners>) -> io::Result<()> {
    let name = "lock/trigger";
    match queue.make_fifo(name, 0o622) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = queue.entry(name)?;
    if !found.metadata().file_type().is_fifo() {
        return Err(io::Error::other("is no FIFO"));
    }
    own(&found, owners, Owner::Send)?;
    found.set_mode(0o622)
}

fn named(name: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The group is always that of the queue.
fn own(found: &Entry, owners: Option<&Owners>, owner: Owner) -> io::Result<()> {
    let Some(owners) = owners else { return Ok(()) };
    let identity = match owner {
        Owner::Queue => owners.qmailq,
        Owner::Send => owners.qmails,
        Owner::Remote => owners.qmailr,
    };
    found.give(Identity {
        uid: identity.uid,
        gid: owners.qmailq.gid,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::Layout;

    #[test]
    fn a_new_queue_is_complete_and_creating_it_again_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue/queue1");
        create(&root, None).unwrap();
        std::fs::write(root.join("mess/1/24"), "kept").unwrap();
        create(&root, None).unwrap();
        assert_eq!(std::fs::read(root.join("mess/1/24")).unwrap(), b"kept");
        let layout = Layout::detect(&root).unwrap();
        assert_eq!(layout.split(), SPLIT_DEFAULT);
        assert_eq!(layout.todo(24), root.join("todo/24"));
        let mode = |name: &str| root.join(name).metadata().unwrap().mode() & 0o7777;
        assert_eq!(
            (mode("pid"), mode("mess/22"), mode("info/0")),
            (0o700, 0o750, 0o700)
        );
        assert_eq!(
            (mode("lock/trigger"), mode("lock/sendmutex")),
            (0o622, 0o600)
        );
        assert!(
            root.join("lock/trigger")
                .metadata()
                .unwrap()
                .file_type()
                .is_fifo()
        );
        assert_eq!(
            root.join("lock/tcpto").metadata().unwrap().len(),
            TCPTO_BYTES as u64
        );
    }

    #[test]
    fn every_part_belongs_to_its_user() {
        if !os::account::is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        let user = |uid| Identity { uid, gid: 4000 };
        let owners = Owners {
            qmailq: user(4001),
            qmails: user(4002),
            qmailr: user(4003),
        };
        create(&root, Some(&owners)).unwrap();
        let owner = |name: &str| Identity::owner_of(&root.join(name)).unwrap();
        assert_eq!(owner("mess/3"), user(4001));
        assert_eq!(owner("info/3"), user(4002));
        assert_eq!(owner("lock/trigger"), user(4002));
        assert_eq!(owner("lock/tcpto"), user(4003));
    }

    /// Replaces a part of a queue by something that leads to a victim beside
    /// it.
    fn hostile(part: &str, plant: impl Fn(&Path, &Path)) {
        let all = tempfile::tempdir().unwrap();
        let root = all.path().join("queue1");
        create(&root, None).unwrap();
        let victim = all.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("file"), "precious").unwrap();
        let private = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(victim.join("file"), private(0o600)).unwrap();
        std::fs::set_permissions(&victim, private(0o711)).unwrap();
        let path = root.join(part);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        plant(&victim, &path);
        let user = |uid| Identity { uid, gid: 4000 };
        let owners = os::account::is_root().then(|| Owners {
            qmailq: user(4001),
            qmails: user(4002),
            qmailr: user(4003),
        });
        assert!(create(&root, owners.as_ref()).is_err(), "{part}");
        if part == HOLD {
            let owner = owners.map(|owners| owners.qmails);
            assert!(create_holds(&root, owner).is_err());
        }
        let facts = |path: &Path| {
            let found = path.metadata().unwrap();
            (found.uid(), found.mode() & 0o7777)
        };
        let own = Identity::of_this_process().uid;
        assert_eq!(facts(&victim), (own, 0o711), "{part}");
        assert_eq!(facts(&victim.join("file")), (own, 0o600), "{part}");
        let content = std::fs::read(victim.join("file")).unwrap();
        assert_eq!(content, b"precious", "{part}");
        let names = std::fs::read_dir(&victim).unwrap().count();
        assert_eq!(names, 1, "{part}: nothing is made there");
    }

    #[test]
    fn what_was_put_in_the_way_is_neither_changed_nor_followed() {
        for part in ["lock/tcpto", "lock/sendmutex", "lock/trigger"] {
            hostile(part, |victim, path| {
                symlink(victim.join("file"), path).unwrap()
            });
            hostile(part, |victim, path| {
                std::fs::hard_link(victim.join("file"), path).unwrap();
            });
            hostile(part, |victim, path| {
                symlink(victim.join("new"), path).unwrap()
            });
        }
        for part in ["lock", "mess", "mess/3", "info/22", HOLD, "pid"] {
            hostile(part, |victim, path| symlink(victim, path).unwrap());
        }
    }
}
