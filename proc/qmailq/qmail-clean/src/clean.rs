//! What is removed, and in which order.

use std::path::Path;
use std::time::{Duration, SystemTime};

use queue::{Disk, Layout};
use wire::clean::{Answer, Command};

use crate::PROGRAM;

/// Removes files of one queue.
#[derive(Debug)]
pub struct Cleaner {
    disk: Disk,
    layout: Layout,
    age_max: Duration,
}

impl Cleaner {
    /// Files in `pid` older than this belong to nobody.
    pub fn new(layout: Layout, age_max: Duration) -> Self {
        Self {
            disk: Disk::giving_back(layout.root()),
            layout,
            age_max,
        }
    }

    /// Removes what a command names.
    pub fn run(&self, command: Command) -> Answer {
        match queue::clean(&self.disk, &self.layout, command) {
            Ok(()) => Answer::Done,
            Err(error) => {
                run::warn(PROGRAM, &run::chain(&error));
                Answer::Failed
            }
        }
    }

    /// Removes files that a queue writer left in `pid`, and in `intd` where
    /// files are given names from the start, when it was killed.
    pub fn sweep(&self) {
        self.sweep_directory(&self.layout.root().join("pid"));
        for directory in self.layout.directories("intd") {
            self.sweep_directory(&directory);
        }
    }

    fn sweep_directory(&self, path: &Path) {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                run::warn(PROGRAM, &format!("cannot read {}: {error}", path.display()));
                return;
            }
        };
        for entry in entries.flatten() {
            if self.is_abandoned(&entry) {
                // Another cleaner may have been faster.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// The time of the last change counts: access times can stand still.
    fn is_abandoned(&self, entry: &std::fs::DirEntry) -> bool {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| {
            let age = SystemTime::now()
                .duration_since(modified)
                .unwrap_or_default();
            self.age_max < age
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_commands_remove_their_files_and_can_be_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(&root).unwrap();
        let cleaner = Cleaner::new(layout.clone(), Duration::ZERO);
        for path in [layout.mess(24), layout.intd(24), layout.todo(24)] {
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(cleaner.run(Command::Todo(24)), Answer::Done);
        assert!(layout.mess(24).exists());
        assert!(!layout.intd(24).exists() && !layout.todo(24).exists());
        assert_eq!(cleaner.run(Command::Message(24)), Answer::Done);
        assert!(!layout.mess(24).exists());
        assert_eq!(cleaner.run(Command::Message(24)), Answer::Done);
        std::fs::create_dir(layout.mess(47)).unwrap();
        assert_eq!(cleaner.run(Command::Message(47)), Answer::Failed);
    }

    #[test]
    fn only_old_files_in_pid_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        std::fs::write(root.join("pid/1.2.3"), "x").unwrap();
        std::fs::write(root.join("intd/24"), "x").unwrap();
        let layout = Layout::detect(&root).unwrap();
        Cleaner::new(layout.clone(), Duration::from_secs(3600)).sweep();
        assert!(root.join("pid/1.2.3").exists() && root.join("intd/24").exists());
        Cleaner::new(layout, Duration::ZERO).sweep();
        assert!(!root.join("pid/1.2.3").exists() && !root.join("intd/24").exists());
    }
}
