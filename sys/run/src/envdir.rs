//! Directories of variables: one file each, its name the variable's, its first
//! line the value.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longest value of a variable.
const VALUE_BYTES_MAX: usize = 128 * 1024;

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
        match fs::read(&path) {
            Ok(content) => variables.push((name, value(&content))),
            Err(_) if unreadable == Unreadable::Ignored => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    Ok(variables)
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
}
