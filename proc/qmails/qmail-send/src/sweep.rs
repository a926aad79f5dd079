//! The slow walk through `mess` that finds texts nobody finished
//! (queue-and-delivery.md §2.8).

use std::fs::ReadDir;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use queue::Layout;

/// From the start of one walk to the start of the next.
const PASS_SECONDS: i64 = 76_431;
/// Files looked at in one turn.
const FILES_PER_TURN: usize = 16;

/// Where the walk is.
#[derive(Debug, Default)]
pub struct Sweep {
    next_pass: i64,
    directories: Vec<PathBuf>,
    entries: Option<ReadDir>,
}

impl Sweep {
    /// Says whether a walk is under way; else when the next begins.
    pub fn next_turn(&self) -> Result<(), i64> {
        if self.entries.is_some() || !self.directories.is_empty() {
            Ok(())
        } else {
            Err(self.next_pass)
        }
    }

    /// Looks at a few files; those that are old and belong to no message.
    /// Their age is that of their content: reading them does not keep them.
    pub fn turn(&mut self, layout: &Layout, ossified_seconds: i64, now: i64) -> Vec<u64> {
        if let Err(next_pass) = self.next_turn() {
            // A clock that was set back must not stop the walks.
            if now < next_pass && next_pass <= now + PASS_SECONDS {
                return Vec::new();
            }
            self.next_pass = now + PASS_SECONDS;
            self.directories = layout.directories("mess");
        }
        let mut abandoned = Vec::new();
        for _ in 0..FILES_PER_TURN {
            let Some(entry) = self.next_entry() else {
                break;
            };
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let touched = metadata.mtime().max(metadata.ctime());
            let is_old = touched + ossified_seconds < now;
            // A disk that cannot tell has not said that there is nothing.
            let is_missing = |path: PathBuf| matches!(path.try_exists(), Ok(false));
            if is_old && is_missing(layout.info(id)) && is_missing(layout.todo(id)) {
                abandoned.push(id);
            }
        }
        abandoned
    }

    fn next_entry(&mut self) -> Option<std::fs::DirEntry> {
        loop {
            if let Some(entry) = self.entries.as_mut().and_then(Iterator::next) {
                match entry {
                    Ok(entry) => return Some(entry),
                    Err(_) => self.entries = None,
                }
            }
            self.entries = None;
            self.entries = std::fs::read_dir(self.directories.pop()?).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_no_message_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(&root).unwrap();
        for id in [1, 2, 3, 4] {
            std::fs::write(layout.mess(id), b"").unwrap();
        }
        std::fs::write(layout.info(1), b"F\0").unwrap();
        std::fs::write(layout.todo(2), b"F\0").unwrap();
        // Nobody can tell what this is.
        std::os::unix::fs::symlink("4", layout.info(4)).unwrap();
        let now = os::clock::unix_seconds();
        let mut sweep = Sweep::default();
        let mut swept = sweep.turn(&layout, 100, now);
        while sweep.next_turn().is_ok() {
            swept.extend(sweep.turn(&layout, 100, now));
        }
        assert!(swept.is_empty());
        let later = now + PASS_SECONDS;
        swept.extend(sweep.turn(&layout, 100, later));
        while sweep.next_turn().is_ok() {
            swept.extend(sweep.turn(&layout, 100, later));
        }
        assert_eq!(swept, [3]);
        assert_eq!(sweep.next_turn(), Err(later + PASS_SECONDS));
    }
}
