//! The side of qmail-clean: finished files become spare ones.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{directory, may_be_written_again};

/// Larger files are removed: what is kept takes this times
/// [`SPARES_MAX`] at most.
const SPARE_BYTES_MAX: u64 = 64 * 1024;
/// Files kept, about.
const SPARES_MAX: usize = 512;
/// Files moved there between two counts.
const MOVES_PER_COUNT: usize = 64;

/// Where qmail-clean puts finished files of one queue.
#[derive(Debug)]
pub struct Finished {
    directory: PathBuf,
    count: usize,
    moves: usize,
}

impl Finished {
    /// For a queue.
    pub fn of(queue: &Path) -> Self {
        Self {
            directory: directory(queue),
            count: 0,
            moves: 0,
        }
    }

    /// Takes a file out of the queue: it becomes a spare one or is removed.
    pub fn take(&mut self, path: &Path) -> io::Result<()> {
        let metadata = std::fs::symlink_metadata(path)?;
        // An empty file would keep its time when nothing is written to it.
        let is_useful =
            may_be_written_again(&metadata) && (1..=SPARE_BYTES_MAX).contains(&metadata.len());
        if is_useful && self.has_room() {
            // The number cannot be the name of another file that is there:
            // it is this file's alone as long as it exists.
            let spare = self.directory.join(metadata.ino().to_string());
            if std::fs::rename(path, spare).is_ok() {
                self.count += 1;
                return Ok(());
            }
        }
        std::fs::remove_file(path)
    }

    fn has_room(&mut self) -> bool {
        if self.moves == 0 {
            // Without the directory nobody wants them.
            self.count = std::fs::read_dir(&self.directory).map_or(SPARES_MAX, Iterator::count);
        }
        self.moves = (self.moves + 1) % MOVES_PER_COUNT;
        self.count < SPARES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{no_spares, queue};
    use super::*;

    #[test]
    fn large_files_and_too_many_are_removed() {
        let queue = queue();
        std::fs::create_dir(queue.path().join("spare")).unwrap();
        let mut finished = Finished::of(queue.path());
        let large = queue.path().join("large");
        std::fs::write(&large, vec![0; SPARE_BYTES_MAX as usize + 1]).unwrap();
        finished.take(&large).unwrap();
        for number in 0..SPARES_MAX + 10 {
            let path = queue.path().join(format!("m{number}"));
            std::fs::write(&path, "x").unwrap();
            finished.take(&path).unwrap();
            assert!(!path.exists());
        }
        let kept = std::fs::read_dir(queue.path().join("spare")).unwrap();
        assert_eq!(kept.count(), SPARES_MAX);
    }

    #[test]
    fn without_anybody_to_use_them_files_are_removed() {
        let queue = queue();
        let mess = queue.path().join("mess");
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(!mess.exists() && !queue.path().join("spare").exists());
        assert!(Finished::of(queue.path()).take(&mess).is_err());
    }

    #[test]
    fn what_others_could_not_read_and_what_is_empty_is_removed() {
        use std::os::unix::fs::PermissionsExt;
        let queue = queue();
        std::fs::create_dir(queue.path().join("spare")).unwrap();
        let mess = queue.path().join("mess");
        std::fs::set_permissions(&mess, std::fs::Permissions::from_mode(0o600)).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        std::fs::write(&mess, "").unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &mess).unwrap();
        Finished::of(queue.path()).take(&mess).unwrap();
        assert!(no_spares(queue.path()));
    }
}
