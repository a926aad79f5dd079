//! Names of folders (Maildir++).

use std::fmt;

/// Longest folder name on disk, its first dot included.
pub const FOLDER_BYTES_MAX: usize = 240;

/// A folder: INBOX, which is the Maildir itself, or a path of names. On disk
/// `A` below it is `.A`, `B` below that `.A.B`.
///
/// No name is empty or contains a dot, a slash or a control character, so no
/// folder name can leave the Maildir. How names are shown (separator,
/// modified UTF-7) is the protocol's affair.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FolderName(String);

/// Why a text is no folder name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// Two separators in a row, or one at an end.
    #[error("folder name has an empty part")]
    Empty,
    /// A dot, a slash, or a control character.
    #[error("folder name has a character that cannot be in one")]
    Character,
    /// Longer than [`FOLDER_BYTES_MAX`].
    #[error("folder name is too long")]
    TooLong,
}

impl FolderName {
    /// The Maildir itself.
    pub fn inbox() -> Self {
        Self(String::new())
    }

    /// Parses a path of names with this separator. `INBOX` alone, in any
    /// case, is the inbox; `INBOX` at the beginning of a longer path is
    /// a folder of that name.
    pub fn parse(text: &str, separator: char) -> Result<Self, NameError> {
        if text.eq_ignore_ascii_case("INBOX") {
            return Ok(Self::inbox());
        }
        let mut path = String::with_capacity(text.len() + 1);
        for part in text.split(separator) {
            if part.is_empty() {
                return Err(NameError::Empty);
            }
            if part.contains(|c: char| matches!(c, '.' | '/') || c.is_control()) {
                return Err(NameError::Character);
            }
            path.push('.');
            path.push_str(part);
        }
        if FOLDER_BYTES_MAX < path.len() {
            return Err(NameError::TooLong);
        }
        Ok(Self(path))
    }

    /// Parses the name of a directory in a Maildir, like `.A.B`.
    pub fn of_directory(name: &str) -> Result<Self, NameError> {
        let path = name.strip_prefix('.').ok_or(NameError::Empty)?;
        // `.INBOX` is a folder of its own on disk, but no protocol could
        // name it.
        if path.eq_ignore_ascii_case("INBOX") {
            return Err(NameError::Character);
        }
        Self::parse(path, '.')
    }

    /// Says whether this is the Maildir itself.
    pub fn is_inbox(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory's name in the Maildir, empty for the inbox.
    pub fn directory(&self) -> &str {
        &self.0
    }

    /// The names of the path; none for the inbox.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.').skip(1)
    }

    /// The path with this separator; `INBOX` for the inbox.
    pub fn display(&self, separator: char) -> String {
        match self.0.get(1..) {
            None | Some("") => "INBOX".to_owned(),
            Some(path) => path.replace('.', separator.encode_utf8(&mut [0; 4])),
        }
    }

    /// Says whether this folder stands below `other`; every folder but itself
    /// stands below the inbox.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(&other.0)
            .is_some_and(|rest| rest.starts_with('.'))
    }

    /// This folder, or the one above it, with `from` replaced by `to`.
    pub(crate) fn moved(&self, from: &Self, to: &Self) -> Result<Self, NameError> {
        let rest = self.0.strip_prefix(&from.0).ok_or(NameError::Empty)?;
        let path = format!("{}{rest}", to.0);
        if FOLDER_BYTES_MAX < path.len() {
            return Err(NameError::TooLong);
        }
        Ok(Self(path))
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_maildir() {
        for bad in [
            "..", "a/../b", "", "/", "a//b", "a/", "/a", "a\0b", "a.b", "a/.",
        ] {
            assert!(FolderName::parse(bad, '/').is_err(), "{bad:?}");
        }
        for bad in ["..", ".", "A", "..A", ".A..B", ".a/b", ".inbox"] {
            assert!(FolderName::of_directory(bad).is_err(), "{bad:?}");
        }
        let long = "x".repeat(FOLDER_BYTES_MAX);
        assert_eq!(FolderName::parse(&long, '/'), Err(NameError::TooLong));
    }

    #[test]
    fn what_is_parsed_is_printed_and_parsed_again() {
        property::holds(|u| {
            let text: String = u.arbitrary()?;
            if let Ok(name) = FolderName::parse(&text, '/') {
                assert_eq!(FolderName::parse(&name.display('/'), '/'), Ok(name.clone()));
                if !name.is_inbox() && !name.display('/').eq_ignore_ascii_case("inbox") {
                    assert_eq!(FolderName::of_directory(name.directory()), Ok(name));
                }
            }
            Ok(())
        });
    }

    #[test]
    fn below_is_about_whole_names() {
        let parse = |text| FolderName::parse(text, '/').unwrap();
        assert!(parse("A/B").is_below(&parse("A")));
        assert!(!parse("AB").is_below(&parse("A")));
        assert!(parse("A").is_below(&FolderName::inbox()));
        let moved = parse("A/B/C").moved(&parse("A"), &parse("X/Y"));
        assert_eq!(moved.unwrap(), parse("X/Y/B/C"));
    }
}
