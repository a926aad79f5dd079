//! Directories of variables: one file each, its name the variable's, its first
//! line the value.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest value of a variable.
const VALUE_BYTES_MAX: usize = 128 * 1024;
/// Most variables of a directory.
const VARIABLES_MAX: usize = 10_000;

/// A variable and its value; `None` removes it.
pub type Variable = (OsString, Option<OsString>);

/// What happens to files that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// They are an error.
    Refused,
    /// They are left out.
    Ignored,
}

/// A directory of variables cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot take variables from {path}")]
pub struct EnvdirError {
    /// The directory or the file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Reads a directory; names that begin with a dot do not count.
pub fn read(directory: &Path, unreadable: Unreadable) -> Result<Vec<Variable>, EnvdirError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| EnvdirError { path, source }
    };
    let mut variables = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let name = entry.map_err(failed(directory))?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let path = directory.join(&name);
        if name.as_bytes().contains(&b'=') {
            let error = io::Error::other("a variable's name cannot have =");
            return Err(failed(&path)(error));
        }
        if variables.len() == VARIABLES_MAX {
            let error = io::Error::other("too many variables");
            return Err(failed(directory)(error));
        }
        match first_bytes(&path) {
            Ok(content) => variables.push((name, value(&content))),
            Err(_) if unreadable == Unreadable::Ignored => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    Ok(variables)
}

/// The part of a file that can matter. What is not a file, such as a FIFO
/// nobody writes to, is an error and not a reason to wait.
fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut content = Vec::new();
    file.take(VALUE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// The first line without blanks at its end, NUL as newline; nothing at all
/// in the file removes the variable, an empty line makes it empty.
fn value(content: &[u8]) -> Option<OsString> {
    if content.is_empty() {
        return None;
    }
    let line = content.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(VALUE_BYTES_MAX)];
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    let value = line[..end].iter().map(|&b| if b == 0 { b'\n' } else { b });
    Some(OsString::from_vec(value.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_and_an_empty_line_differ() {
        assert_eq!(value(b""), None);
        assert_eq!(value(b"\n"), Some("".into()));
        assert_eq!(value(b"a b \t\nsecond"), Some("a b".into()));
        assert_eq!(value(b"a\0b"), Some("a\nb".into()));
    }

    #[test]
    fn what_is_no_file_is_an_error_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        os::file::make_fifo(&directory.path().join("FIFO"), 0o600).unwrap();
        assert!(read(directory.path(), Unreadable::Refused).is_err());
        assert_eq!(read(directory.path(), Unreadable::Ignored).unwrap(), []);
    }

    #[test]
    fn a_file_for_each_variable_comes_back() {
        property::holds(|u| {
            let directory = tempfile::tempdir().unwrap();
            let mut written = Vec::new();
            for number in 0..u.int_in_range(0..=4)? {
                let mut text: String = u.arbitrary()?;
                text.retain(|c| c != '\0' && c != '\n');
                let text = text.trim_end_matches([' ', '\t']).to_owned();
                let name = format!("V{number}");
                std::fs::write(directory.path().join(&name), format!("{text} \t\nmore")).unwrap();
                written.push((OsString::from(name), Some(OsString::from(text))));
            }
            let mut found = read(directory.path(), Unreadable::Refused).unwrap();
            found.sort();
            assert_eq!(found, written);
            Ok(())
        });
    }
}
