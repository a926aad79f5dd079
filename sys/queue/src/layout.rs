//! Where the files of a message are, in either split layout.
//!
//! A split directory spreads messages over numbered subdirectories,
//! `dir/<n mod split>/<n>`. The split is found on disk, never assumed: a queue
//! of qmail or IndiMail is used as it is.

use std::io;
use std::path::{Path, PathBuf};

use os::beneath::Directory;

/// Split of queues we create.
pub const SPLIT_DEFAULT: u64 = 23;

/// Directories that are always split.
const ALWAYS_SPLIT: [&str; 4] = ["mess", "info", "local", "remote"];

/// Where one queue is and how it is split.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    root: PathBuf,
    split: u64,
    todo_is_split: bool,
}

/// Why a directory cannot be used as a queue.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A directory of the queue is missing or cannot be read.
    #[error("cannot read queue directory {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `mess/0` and its like do not exist, or their numbers differ.
    #[error(
        "queue {root} has {found} numbered directories in {directory}, but {expected} in mess; repair it first"
    )]
    Split {
        /// The queue.
        root: PathBuf,
        /// The directory that differs.
        directory: &'static str,
        /// Its count.
        found: u64,
        /// The count in `mess`.
        expected: u64,
    },
}

impl Layout {
    /// Finds out how the queue at `root` is split.
    pub fn detect(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let root = root.into();
        let expected = count(&root, "mess")?;
        // The other three can be unreadable to a writer of new messages.
        for directory in ALWAYS_SPLIT {
            match count(&root, directory) {
                Ok(found) if found == expected && 0 < found => {}
                Ok(found) => {
                    return Err(LayoutError::Split {
                        root,
                        directory,
                        found,
                        expected,
                    });
                }
                Err(LayoutError::Unreadable { source, .. })
                    if source.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        let todo_is_split = root.join("todo/0").is_dir();
        Ok(Self {
            root,
            split: expected,
            todo_is_split,
        })
    }

    /// A queue that is known to be split like this.
    pub fn with_split(root: impl Into<PathBuf>, split: u64, todo_is_split: bool) -> Self {
        Self {
            root: root.into(),
            split,
            todo_is_split,
        }
    }

    /// The queue's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the queue's directory, for those who are more than its users and
    /// must not be led elsewhere by them.
    pub fn open(&self) -> io::Result<Directory> {
        Directory::open(&self.root)
    }

    /// A path in the queue as a name in [`Layout::open`].
    pub fn name_of<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// How many subdirectories `mess` has.
    pub fn split(&self) -> u64 {
        self.split
    }

    /// The last element of the path, like `queue1`: the queue's name in logs.
    pub fn name(&self) -> String {
        self.root
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The text of message `id`.
    pub fn mess(&self, id: u64) -> PathBuf {
        self.split_path("mess", id)
    }

    /// The name qmail-send gives spawners: `mess` without `mess/`.
    pub fn mess_relative(&self, id: u64) -> String {
        format!("{}/{id}", id % self.split)
    }

    /// The envelope under construction.
    pub fn intd(&self, id: u64) -> PathBuf {
        self.todo_path("intd", id)
    }

    /// The complete envelope, not yet preprocessed.
    pub fn todo(&self, id: u64) -> PathBuf {
        self.todo_path("todo", id)
    }

    /// Sender and extras; its mtime is the message's birth.
    pub fn info(&self, id: u64) -> PathBuf {
        self.split_path("info", id)
    }

    /// Local recipients; its mtime is the next attempt.
    pub fn local(&self, id: u64) -> PathBuf {
        self.split_path("local", id)
    }

    /// Remote recipients; its mtime is the next attempt.
    pub fn remote(&self, id: u64) -> PathBuf {
        self.split_path("remote", id)
    }

    /// Permanent failures so far.
    pub fn bounce(&self, id: u64) -> PathBuf {
        self.root.join("bounce").join(id.to_string())
    }

    /// A file of the lock directory: `sendmutex`, `trigger`, `tcpto`.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("lock").join(name)
    }

    /// The directories that hold the files of `directory`: its subdirectories
    /// when it is split, else itself.
    pub fn directories(&self, directory: &str) -> Vec<PathBuf> {
        let base = self.root.join(directory);
        let split = match directory {
            "todo" | "intd" => self.todo_is_split,
            name => ALWAYS_SPLIT.contains(&name),
        };
        match split {
            true => (0..self.split).map(|n| base.join(n.to_string())).collect(),
            false => vec![base],
        }
    }

    fn split_path(&self, directory: &str, id: u64) -> PathBuf {
        self.root
            .join(directory)
            .join((id % self.split).to_string())
            .join(id.to_string())
    }

    fn todo_path(&self, directory: &str, id: u64) -> PathBuf {
        if self.todo_is_split {
            self.split_path(directory, id)
        } else {
            self.root.join(directory).join(id.to_string())
        }
    }
}

/// Counts the subdirectories `0`, `1`, `2`, ... without a gap.
fn count(root: &Path, directory: &'static str) -> Result<u64, LayoutError> {
    let path = root.join(directory);
    if let Err(source) = std::fs::read_dir(&path) {
        return Err(LayoutError::Unreadable { path, source });
    }
    Ok((0..)
        .take_while(|n: &u64| path.join(n.to_string()).is_dir())
        .count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(split: u64, todo_is_split: bool) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in ALWAYS_SPLIT {
            for n in 0..split {
                std::fs::create_dir_all(directory.path().join(name).join(n.to_string())).unwrap();
            }
        }
        if todo_is_split {
            std::fs::create_dir_all(directory.path().join("todo/0")).unwrap();
        }
        directory
    }

    #[test]
    fn both_layouts_are_found_on_disk() {
        let classic = queue(23, false);
        let layout = Layout::detect(classic.path()).unwrap();
        assert_eq!(layout.todo(24), classic.path().join("todo/24"));
        assert_eq!(layout.mess(24), classic.path().join("mess/1/24"));
        let big = queue(151, true);
        let layout = Layout::detect(big.path()).unwrap();
        assert_eq!(layout.todo(152), big.path().join("todo/1/152"));
    }

    #[test]
    fn a_queue_whose_parts_disagree_is_refused() {
        let directory = queue(23, false);
        std::fs::remove_dir(directory.path().join("info/22")).unwrap();
        let error = Layout::detect(directory.path()).unwrap_err();
        assert!(matches!(
            error,
            LayoutError::Split {
                directory: "info",
                found: 22,
                ..
            }
        ));
    }
}
