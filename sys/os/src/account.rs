//! Unix accounts, and becoming one of them for good.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{self, Gid, Group, Uid, User};

/// A Unix user and the one group its processes have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group; supplementary groups are dropped.
    pub gid: u32,
}

/// An entry of the system's user database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Its user and primary group.
    pub identity: Identity,
    /// Home directory.
    pub home: PathBuf,
}

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody has that name.
    #[error("no user named {0}; `indimail quickstart` as root creates it")]
    UnknownUser(String),
    /// No group has that name.
    #[error("no group named {0}; `indimail quickstart` as root creates it")]
    UnknownGroup(String),
    /// The database could not be asked, or the kernel refused the change.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Identity {
    /// The effective user and group of this process.
    pub fn of_this_process() -> Self {
        Self {
            uid: Uid::effective().as_raw(),
            gid: Gid::effective().as_raw(),
        }
    }

    /// The owner of a file or directory.
    pub fn owner_of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
        })
    }

    /// Becomes this user and group, irrevocably, without other groups.
    ///
    /// When the process is that user already and not root, nothing happens:
    /// that is how single-user installations run.
    pub fn assume(self) -> Result<(), AccountError> {
        self.assume_with_groups(&[])
    }

    /// As [`Identity::assume`], keeping these supplementary groups.
    pub fn assume_with_groups(self, groups: &[u32]) -> Result<(), AccountError> {
        if !Uid::effective().is_root() && Self::of_this_process().uid == self.uid {
            return Ok(());
        }
        let groups: Vec<Gid> = std::iter::once(self.gid)
            .chain(groups.iter().copied())
            .map(Gid::from_raw)
            .collect();
        let system = |what: String| {
            move |error| AccountError::System {
                what,
                source: io::Error::from(error),
            }
        };
        unistd::setgroups(&groups).map_err(system("cannot set groups".to_owned()))?;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        unistd::setresgid(gid, gid, gid).map_err(system(format!("cannot become group {gid}")))?;
        unistd::setresuid(uid, uid, uid).map_err(system(format!("cannot become user {uid}")))
    }
}

impl Account {
    /// Looks a user up by name.
    pub fn by_name(name: &str) -> Result<Self, AccountError> {
        let user = match User::from_name(name) {
            // Some libraries say so (getpwnam(3)).
            Err(Errno::ENOENT | Errno::ESRCH) => None,
            found => found.map_err(|error| AccountError::System {
                what: format!("cannot look up user {name}"),
                source: error.into(),
            })?,
        };
        user.map(Self::from)
            .ok_or_else(|| AccountError::UnknownUser(name.to_owned()))
    }

    /// Looks a user up by number.
    pub fn by_uid(uid: u32) -> Result<Self, AccountError> {
        let user = User::from_uid(Uid::from_raw(uid)).map_err(|error| AccountError::System {
            what: format!("cannot look up user {uid}"),
            source: error.into(),
        })?;
        user.map(Self::from)
            .ok_or_else(|| AccountError::UnknownUser(uid.to_string()))
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            identity: Identity {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            },
            home: user.dir,
        }
    }
}

/// The number of a group.
pub fn group(name: &str) -> Result<u32, AccountError> {
    let group = Group::from_name(name).map_err(|error| AccountError::System {
        what: format!("cannot look up group {name}"),
        source: error.into(),
    })?;
    group
        .map(|g| g.gid.as_raw())
        .ok_or_else(|| AccountError::UnknownGroup(name.to_owned()))
}

/// The user files of this process belong to.
pub fn effective_uid() -> u32 {
    Uid::effective().as_raw()
}

/// Says whether this process may become other users.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The real user of this process: who called a set-uid program.
pub fn real_uid() -> u32 {
    Uid::current().as_raw()
}

/// Says whether this process runs with another user's rights (set-uid).
pub fn is_set_uid() -> bool {
    Uid::current() != Uid::effective() || Gid::current() != Gid::effective()
}

/// The number of this host, as gethostid(3) has it.
pub fn host_id() -> u32 {
    // SAFETY: it takes nothing and returns a number.
    let id = unsafe { nix::libc::gethostid() };
    // Negative where its highest bit is set: only 32 bits mean anything.
    id as u32
}

/// The host name, printable; `localhost` when the system does not tell.
pub fn host_name() -> String {
    unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Sets the file mode creation mask.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// Makes the real user and group of a set-uid program those it runs with:
/// whoever called it can no longer signal it, and sockets say who it is.
pub fn settle() -> io::Result<()> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unistd::setresgid(gid, gid, gid)?;
    Ok(unistd::setresuid(uid, uid, uid)?)
}

/// Forgets every environment variable; read what is wanted before. For
/// set-uid programs, so that no library looks at what a caller put there.
pub fn clear_environment() {
    // SAFETY: called at the start of main, before any other thread exists.
    unsafe { nix::libc::clearenv() };
}
