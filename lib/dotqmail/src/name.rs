//! Which files may hold the instructions for an extension
//! (queue-and-delivery.md §6.3).

/// A file that may hold the instructions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// Name in the home directory; never with a slash, never `.` or `..`.
    pub name: Vec<u8>,
    /// For a `default` file: where in the extension the part that `default`
    /// stands for starts. `None` for the file of the very address, unless its
    /// name ends in `default` too.
    pub matched_from: Option<usize>,
}

/// The extension as file names have it: lower case, `.` replaced by `:`, so
/// that no name can be `..`.
pub fn safe_extension(ext: &[u8]) -> Vec<u8> {
    ext.iter()
        .map(|&b| match b.to_ascii_lowercase() {
            b'.' => b':',
            b => b,
        })
        .collect()
}

/// All candidates in the order in which they are tried; the first that exists
/// is used. An extension with a slash (or a NUL) has no file of its own, for
/// that would be in another directory; the `default` files to the left of it
/// still match.
pub fn candidates(dash: &[u8], ext: &[u8]) -> Vec<Candidate> {
    let safe = safe_extension(ext);
    let named_default = safe.strip_suffix(b"default");
    let mut all = vec![Candidate {
        name: [b".qmail", dash, &safe].concat(),
        // The address is that of the file itself; the word stands for itself.
        matched_from: named_default.map(<[u8]>::len),
    }];
    let breaks = (0..=safe.len()).rev();
    for from in breaks.filter(|&i| i == 0 || safe[i - 1] == b'-') {
        all.push(Candidate {
            name: [b".qmail", dash, &safe[..from], b"default"].concat(),
            matched_from: Some(from),
        });
    }
    all.retain(|candidate| is_plain(&candidate.name));
    all
}

/// The names of `-owner` and `-owner-default` for an extension; `None` when
/// the extension can have no file.
pub fn owner_files(dash: &[u8], ext: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let owner = [b".qmail", dash, &safe_extension(ext), b"-owner"].concat();
    let default = [&owner[..], b"-default"].concat();
    is_plain(&owner).then_some((owner, default))
}

fn is_plain(name: &[u8]) -> bool {
    !name.iter().any(|b| matches!(b, b'/' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dash: &[u8], ext: &[u8]) -> Vec<String> {
        let names = candidates(dash, ext).into_iter();
        names
            .map(|c| String::from_utf8_lossy(&c.name).into_owned())
            .collect()
    }

    #[test]
    fn from_the_exact_name_to_the_shortest_default() {
        let expected = [".qmail-list-qmail", ".qmail-list-default", ".qmail-default"];
        assert_eq!(names(b"-", b"list-qmail"), expected);
        assert_eq!(names(b"", b""), [".qmail", ".qmaildefault"]);
        assert_eq!(names(b"-", b"A.B"), [".qmail-a:b", ".qmail-default"]);
    }

    #[test]
    fn the_address_of_a_default_file_has_its_default_too() {
        let matched = |ext: &[u8]| candidates(b"-", ext)[0].matched_from;
        assert_eq!(matched(b"list-Default"), Some(5));
        assert_eq!(matched(b"default"), Some(0));
        assert_eq!(matched(b"list"), None);
    }

    #[test]
    fn a_list_default_file_does_not_take_the_list_itself() {
        assert!(!names(b"-", b"list").contains(&".qmail-list-default".to_owned()));
        assert!(names(b"-", b"list-").contains(&".qmail-list-default".to_owned()));
    }

    #[test]
    fn no_address_leaves_the_home_directory() {
        property::holds(|u| {
            let ext = property::bytes(u)?;
            for candidate in candidates(b"-", &ext) {
                assert!(candidate.name.starts_with(b".qmail-"));
                assert!(!candidate.name.contains(&b'/'));
                assert!(!candidate.name.contains(&0));
                assert!(candidate.matched_from.unwrap_or(0) <= ext.len());
            }
            Ok(())
        });
        assert_eq!(names(b"-", b"/../../etc/x"), [".qmail-default"]);
        assert_eq!(names(b"-", b"a-/b"), [".qmail-a-default", ".qmail-default"]);
    }
}
