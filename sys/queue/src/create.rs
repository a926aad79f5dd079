//! A new, empty queue.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use os::account::Identity;

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
/// and its content.
pub fn create(root: &Path, owners: Option<&Owners>) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let split = crate::Layout::detect(root).map_or(SPLIT_DEFAULT, |layout| layout.split());
    directory(root, owners, Owner::Queue, 0o750)?;
    for (name, is_split, owner, mode) in DIRECTORIES {
        let path = root.join(name);
        directory(&path, owners, owner, mode)?;
        for n in (0..split).filter(|_| is_split) {
            directory(&path.join(n.to_string()), owners, owner, mode)?;
        }
        // What is accepted later is synced no further up than here.
        os::file::sync_directory(&path)?;
    }
    let lock = root.join("lock");
    file(&lock.join("sendmutex"), &[], owners, Owner::Send, 0o600)?;
    file(
        &lock.join("tcpto"),
        &[0; TCPTO_BYTES],
        owners,
        Owner::Remote,
        0o644,
    )?;
    // Everybody who may write to the queue may wake qmail-send.
    os::file::make_fifo(&lock.join("trigger"), 0o622)?;
    own(&lock.join("trigger"), owners, Owner::Send)?;
    os::file::sync_directory(&lock)?;
    os::file::sync_directory(root)?;
    root.parent().map_or(Ok(()), os::file::sync_directory)
}

/// Makes the directory of holds in a queue that has none: one that another
/// release made. `owner` is `qmails`.
pub fn create_holds(root: &Path, owner: Option<Identity>) -> io::Result<()> {
    let path = root.join(HOLD);
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(&path)?;
    if let Some(Identity { uid, gid }) = owner {
        std::os::unix::fs::lchown(&path, Some(uid), Some(gid))?;
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o700))
}

fn directory(path: &Path, owners: Option<&Owners>, owner: Owner, mode: u32) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    own(path, owners, owner)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn file(
    path: &Path,
    content: &[u8],
    owners: Option<&Owners>,
    owner: Owner,
    mode: u32,
) -> io::Result<()> {
    if !path.exists() {
        std::fs::write(path, content)?;
    }
    own(path, owners, owner)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The group is always that of the queue.
fn own(path: &Path, owners: Option<&Owners>, owner: Owner) -> io::Result<()> {
    let Some(owners) = owners else { return Ok(()) };
    let identity = match owner {
        Owner::Queue => owners.qmailq,
        Owner::Send => owners.qmails,
        Owner::Remote => owners.qmailr,
    };
    std::os::unix::fs::lchown(path, Some(identity.uid), Some(owners.qmailq.gid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

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
}
