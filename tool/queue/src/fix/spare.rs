//! Files that qmail-queued writes again (`queue::spare`).

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use run::Exit;

use super::tree::Owner;
use super::{Fix, Kind};

const NAME: &str = "spare";

impl Fix {
    /// The directory is qmail-queued's to make. A file in it has its inode
    /// number as its only name; whatever else is there was put there by
    /// somebody, or came with a copy, and would become a message.
    pub(super) fn spare(&mut self) -> Result<(), Exit> {
        let found = self.queue.find(NAME).ok().flatten();
        if found.is_none() {
            return Ok(());
        }
        self.directory(Path::new(NAME), Owner::Queue, 0o700)?;
        for name in self.entries(Path::new(NAME))? {
            let Ok(Some(found)) = self.queue.find(&name) else {
                continue;
            };
            let metadata = found.metadata();
            let shown = self.shown(&name);
            if metadata.is_dir() {
                self.warn(&format!("{} is a directory", shown.display()));
                continue;
            }
            let number = metadata.ino().to_string();
            let is_named = name.file_name().is_some_and(|last| last == number.as_str());
            if metadata.is_file() && !found.is_shared() && is_named {
                self.file(&name, Owner::Queue, 0o644)?;
                continue;
            }
            let what = format!("remove {}, which is no spare file", shown.display());
            self.change(Kind::Strays, &what, |queue| queue.remove_file(&name))?;
        }
        Ok(())
    }
}
