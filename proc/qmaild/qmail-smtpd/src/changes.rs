//! Whether files in a few directories have changed, without looking at each.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use inotify::{EventMask, Inotify, WatchMask};

/// Room for the events of one read.
const BUFFER_BYTES: usize = 4096;

/// Tells two states of the directories apart.
#[derive(Debug)]
pub struct Changes(Mutex<State>);

#[derive(Debug)]
struct State {
    inotify: Option<Inotify>,
    generation: u64,
}

impl Changes {
    /// Watches directories. What a link in them points to is not watched.
    pub fn of(directories: &[&Path]) -> Self {
        let watch = || {
            let inotify = Inotify::init()?;
            let mask = WatchMask::CREATE
                | WatchMask::MODIFY
                | WatchMask::ATTRIB
                | WatchMask::MOVE
                | WatchMask::DELETE
                | WatchMask::DELETE_SELF
                | WatchMask::MOVE_SELF;
            for directory in directories {
                inotify.watches().add(directory, mask)?;
            }
            Ok::<_, io::Error>(inotify)
        };
        Self(Mutex::new(State {
            // A user may have few of them.
            inotify: watch().ok(),
            generation: 0,
        }))
    }

    /// A number that is another one after each change; `None` when nobody
    /// tells, and files have to be looked at.
    pub fn generation(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            inotify,
            generation,
        } = &mut *state;
        let mut buffer = [0; BUFFER_BYTES];
        let mut is_blind = false;
        loop {
            match inotify.as_mut()?.read_events(&mut buffer) {
                Ok(events) => {
                    *generation += 1;
                    let gone = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED;
                    is_blind |= events.into_iter().any(|event| event.mask.intersects(gone));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => is_blind = true,
            }
            if is_blind {
                // Another directory may be in its place.
                *inotify = None;
            }
        }
        Some(*generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_seen_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        std::fs::create_dir(&control).unwrap();
        let changes = Changes::of(&[&control]);
        let mut last = changes.generation().unwrap();
        let mut changed = || {
            let before = std::mem::replace(&mut last, changes.generation().unwrap());
            before != last
        };
        assert!(!changed());
        let file = control.join("me");
        std::fs::write(&file, "a\n").unwrap();
        assert!(changed() && !changed());
        std::fs::write(&file, "b\n").unwrap();
        assert!(changed());
        std::fs::rename(&file, control.join("rcpthosts")).unwrap();
        assert!(changed());
        std::fs::remove_file(control.join("rcpthosts")).unwrap();
        assert!(changed());
        std::fs::rename(&control, directory.path().join("old")).unwrap();
        assert_eq!(changes.generation(), None);
    }
}
