//! Users are changed, or all of them are moved to another database: not both
//! at once.
//!
//! Who changes users holds a lock in shared form, and reads where they are
//! while it does; who moves them holds it alone until the control file names
//! the new place. So nobody adds a user to a database that is being left.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg, OFlag};
use run::Home;

use crate::Error;

/// How long one waits for the other.
const WAIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Anybody who can get there may hold it; nobody writes to it.
const MODE: u32 = 0o644;

/// Held as long as users are changed, or moved.
#[derive(Debug)]
pub struct Moving {
    _lock: Option<Flock<File>>,
}

impl Moving {
    /// Waits until nobody moves the users.
    pub fn none(home: &Home) -> Result<Self, Error> {
        Self::lock(home, FlockArg::LockSharedNonblock)
    }

    /// Waits until nobody changes them.
    pub fn alone(home: &Home) -> Result<Self, Error> {
        Self::lock(home, FlockArg::LockExclusiveNonblock)
    }

    fn lock(home: &Home, how: FlockArg) -> Result<Self, Error> {
        let path = path(home);
        let error = |source: io::Error| Error::File {
            path: path.clone(),
            source,
        };
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_CREAT | OFlag::O_NOFOLLOW).bits())
            .mode(MODE)
            .open(&path);
        let mut file = match opened {
            // Without the directory there is no database that could be left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { _lock: None });
            }
            opened => opened.map_err(error)?,
        };
        let since = Instant::now();
        loop {
            file = match Flock::lock(file, how) {
                Ok(lock) => return Ok(Self { _lock: Some(lock) }),
                Err((file, nix::errno::Errno::EWOULDBLOCK | nix::errno::Errno::EINTR)) => file,
                Err((_, errno)) => return Err(error(errno.into())),
            };
            if WAIT < since.elapsed() {
                return Err(Error::Moving {
                    place: path.display().to_string(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn path(home: &Home) -> PathBuf {
    home.database().with_file_name("moving.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_change_users_and_one_may_move_them() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        assert!(Moving::alone(&home).unwrap()._lock.is_none());
        std::fs::create_dir(root.path().join("db")).unwrap();
        let first = Moving::none(&home).unwrap();
        let second = Moving::none(&home).unwrap();
        let waiting = std::thread::spawn({
            let home = home.clone();
            move || Moving::alone(&home).unwrap()
        });
        drop(first);
        assert!(!waiting.is_finished());
        drop(second);
        drop(waiting.join().unwrap());
        Moving::none(&home).unwrap();
    }
}
