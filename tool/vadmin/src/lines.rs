//! Control files that are lists of lines: adding and removing one.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use run::Exit;

use crate::site::{file, permanent};

const MODE: u32 = 0o644;
/// Entries of `rcpthosts`; further domains go to `morercpthosts`.
pub const RCPTHOSTS_MAX: usize = 50;

/// A control file and what it was before.
pub struct Lines {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Lines {
    /// Reads a control file; a missing one is empty.
    pub fn read(control: &Path, name: &str) -> Result<Self, Exit> {
        let path = control.join(name);
        let before = match std::fs::read(&path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(file(&path, &error)),
        };
        Ok(Self { path, before })
    }

    /// How many entries it has.
    pub fn count(&self) -> usize {
        self.lines().filter(|line| !line.is_empty()).count()
    }

    /// Says whether it has a line, whatever its case.
    pub fn contains(&self, line: &str) -> bool {
        self.lines()
            .any(|l| l.eq_ignore_ascii_case(line.as_bytes()))
    }

    /// Adds a line, unless it is there.
    pub fn add(&self, line: &str) -> Result<(), Exit> {
        if self.contains(line) {
            return Ok(());
        }
        let mut content = self.before.clone().unwrap_or_default();
        if content.last().is_some_and(|&b| b != b'\n') {
            content.push(b'\n');
        }
        content.extend(line.as_bytes());
        content.push(b'\n');
        self.write(&content)
    }

    /// Removes a line; `false` when it was not there.
    pub fn remove(&self, line: &str) -> Result<bool, Exit> {
        if !self.contains(line) {
            return Ok(false);
        }
        let kept: Vec<&[u8]> = self
            .before
            .as_deref()
            .unwrap_or_default()
            .split_inclusive(|&b| b == b'\n')
            .filter(|l| !l.trim_ascii_end().eq_ignore_ascii_case(line.as_bytes()))
            .collect();
        self.write(&kept.concat())?;
        Ok(true)
    }

    /// Replaces a line in its place; nothing happens when it is not there.
    pub fn replace(&self, old: &str, new: &str) -> Result<(), Exit> {
        if !self.contains(old) {
            return Ok(());
        }
        if self.contains(new) {
            return self.remove(old).map(drop);
        }
        let lines = self.before.as_deref().unwrap_or_default();
        let mut content = Vec::new();
        for line in lines.split_inclusive(|&b| b == b'\n') {
            if line.trim_ascii_end().eq_ignore_ascii_case(old.as_bytes()) {
                content.extend(new.as_bytes());
                content.push(b'\n');
            } else {
                content.extend(line);
            }
        }
        self.write(&content)
    }

    /// Its entries as texts.
    pub fn all(&self) -> Vec<String> {
        let lines = self.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// Makes it what it was when it was read.
    pub fn restore(&self) {
        let restored = match &self.before {
            Some(content) => self.write(content),
            None => std::fs::remove_file(&self.path).map_err(|error| file(&self.path, &error)),
        };
        if let Err(exit) = restored {
            eprintln!("cannot undo: {exit}");
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let content = self.before.as_deref().unwrap_or_default();
        content.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end)
    }

    fn write(&self, content: &[u8]) -> Result<(), Exit> {
        let mode = std::fs::metadata(&self.path).map_or(MODE, |m| m.permissions().mode() & 0o777);
        os::file::replace(&self.path, content, mode).map_err(|error| file(&self.path, &error))
    }
}

/// Makes `morercpthosts.cdb` from `morercpthosts`; without the one the other
/// is removed.
pub fn rebuild_morercpthosts(control: &Path) -> Result<(), Exit> {
    let lines = Lines::read(control, "morercpthosts")?;
    let path = control.join("morercpthosts.cdb");
    if lines.before.is_none() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(&path, &error)),
            _ => Ok(()),
        };
    }
    let mut builder = cdb::Builder::default();
    for line in lines.lines().filter(|l| !l.is_empty() && l[0] != b'#') {
        builder
            .add(&line.to_ascii_lowercase(), b"")
            .map_err(|error| permanent(error.to_string()))?;
    }
    let content = builder
        .finish()
        .map_err(|error| permanent(error.to_string()))?;
    os::file::replace(&path, &content, MODE).map_err(|error| file(&path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(content: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        std::fs::write(&path, content).unwrap();
        (directory, path)
    }

    #[test]
    fn a_line_comes_and_goes_and_the_rest_stays_as_it_was() {
        let (directory, path) = control("# mine\nB.org \na.org");
        let read = || Lines::read(directory.path(), "list").unwrap();
        read().add("c.org").unwrap();
        read().add("b.ORG").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# mine\nB.org \na.org\nc.org\n"
        );
        assert!(read().remove("b.org").unwrap());
        assert!(!read().remove("b.org").unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# mine\na.org\nc.org\n"
        );
    }

    #[test]
    fn restoring_is_exact() {
        let (directory, path) = control("a\r\n\nb");
        let before = Lines::read(directory.path(), "list").unwrap();
        before.add("c").unwrap();
        before.restore();
        assert_eq!(std::fs::read(&path).unwrap(), b"a\r\n\nb");
        let none = Lines::read(directory.path(), "new").unwrap();
        none.add("x").unwrap();
        none.restore();
        assert!(!directory.path().join("new").exists());
    }
}
