//! A small disk of a test's own, for what happens when it is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::run;

/// A few megabytes of memory, mounted where a directory was; the directory is
/// back when this is dropped. Needs root.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

/// Files that take what is left of a disk.
#[derive(Debug)]
pub struct Filling(PathBuf);

impl SmallDisk {
    /// Puts a disk with these tmpfs options (`size=4m,nr_inodes=200`) in the
    /// place of a directory, with the directory's content on it.
    ///
    /// # Panics
    /// When it cannot be mounted or the content does not fit.
    pub fn at(directory: &Path, options: &str) -> Self {
        let aside = directory.with_extension("aside");
        let copy = |from: &Path, to: &Path| {
            run(Command::new("cp").arg("-aT").arg(from).arg(to), b"").good();
        };
        copy(directory, &aside);
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory);
        run(&mut mount, b"").good();
        let disk = Self {
            at: directory.to_owned(),
        };
        copy(&aside, directory);
        fs::remove_dir_all(&aside).expect("the copy goes");
        disk
    }

    /// Takes all its space, but for the last few bytes of files that exist.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn fill(&self) -> Filling {
        use std::io::Write;
        let directory = self.at.join(".filling");
        fs::create_dir(&directory).expect("a directory");
        let mut file = fs::File::create(directory.join("bytes")).expect("a file");
        let filling = Filling(directory);
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        filling
    }

    /// Takes all its inodes.
    ///
    /// # Panics
    /// When not even a directory can be made.
    pub fn fill_inodes(&self) -> Filling {
        let directory = self.at.join(".filling");
        fs::create_dir(&directory).expect("a directory");
        let mut number = 0;
        while fs::File::create(directory.join(number.to_string())).is_ok() {
            number += 1;
        }
        Filling(directory)
    }

    /// Forbids or allows writing, as a disk does that found an error.
    ///
    /// # Panics
    /// When it cannot be mounted anew.
    pub fn remount(&self, mode: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{mode}")]).arg(&self.at);
        run(&mut mount, b"").good();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process may still be ending on it.
        run(Command::new("umount").arg("-l").arg(&self.at), b"");
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
