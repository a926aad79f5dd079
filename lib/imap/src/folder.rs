//! Names of folders, and the patterns of LIST.
//!
//! The hierarchy separator is `.` and there is no prefix, so that a folder
//! `A.B` is the directory `.A.B` of a Maildir++. `INBOX.A` is another
//! spelling of `A`, for clients that were set up for a server which keeps
//! every folder below the inbox.
//!
//! A name is kept in modified UTF-7 (RFC 3501 §5.1.3), which is how it is
//! written on the wire and on disk.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// The hierarchy separator.
pub const SEPARATOR: u8 = b'.';
/// Longest name; a directory entry holds 255 bytes.
pub const NAME_BYTES_MAX: usize = 240;
/// Deepest hierarchy.
pub const LEVELS_MAX: usize = 30;

const INBOX: &str = "INBOX";

/// Modified BASE64: `,` for `/`, no padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A folder's name that is safe to make a directory's name of: no `/`, no
/// control bytes, no empty level, valid modified UTF-7.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FolderName(String);

/// What is wrong with a folder's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// Longer than [`NAME_BYTES_MAX`] or deeper than [`LEVELS_MAX`].
    #[error("name is too long")]
    TooLong,
    /// Nothing between two separators, or nothing at all.
    #[error("name has an empty part")]
    EmptyLevel,
    /// A byte no name may have.
    #[error("name has a character that is not allowed")]
    Byte,
    /// A `&` that begins no proper modified UTF-7.
    #[error("name is not in modified UTF-7")]
    Encoding,
}

impl FolderName {
    /// The inbox.
    pub fn inbox() -> Self {
        Self(INBOX.to_owned())
    }

    /// Parses what a client or a directory says. UTF-8 that should have been
    /// modified UTF-7 is taken for what it means.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(text).map_err(|_| NameError::Encoding)?;
        if text.eq_ignore_ascii_case(INBOX) {
            return Ok(Self::inbox());
        }
        let text = match text.split_at_checked(INBOX.len() + 1) {
            Some((head, rest)) if head.eq_ignore_ascii_case("INBOX.") => rest,
            _ => text,
        };
        let name = if text.is_ascii() {
            check_utf7(text)?;
            text.to_owned()
        } else {
            encode_utf7(text)
        };
        if name.bytes().any(|b| matches!(b, b'/' | 0..=0x1f | 0x7f)) {
            return Err(NameError::Byte);
        }
        if name.split('.').any(|level| level.trim().is_empty()) {
            return Err(NameError::EmptyLevel);
        }
        if NAME_BYTES_MAX < name.len() || LEVELS_MAX < name.split('.').count() {
            return Err(NameError::TooLong);
        }
        Ok(Self(name))
    }

    /// In modified UTF-7.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In UTF-8, for clients that enabled UTF8=ACCEPT.
    pub fn to_utf8(&self) -> String {
        decode_utf7(&self.0)
    }

    /// Says whether this is the inbox.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }

    /// Says whether this folder is somewhere below another.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.starts_with('.'))
    }

    /// The folders above this one, from the top.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('.')
            .map(|(dot, _)| Self(self.0[..dot].to_owned()))
    }

    /// The attribute of RFC 6154 that a folder of this name has.
    pub fn special_use(&self) -> Option<&'static str> {
        let known: [(&str, &str); 8] = [
            ("Sent", "\\Sent"),
            ("Drafts", "\\Drafts"),
            ("Trash", "\\Trash"),
            ("Junk", "\\Junk"),
            ("Spam", "\\Junk"),
            ("Archive", "\\Archive"),
            ("Sent Messages", "\\Sent"),
            ("Deleted Messages", "\\Trash"),
        ];
        known
            .into_iter()
            .find(|(name, _)| self.0.eq_ignore_ascii_case(name))
            .map(|(_, attribute)| attribute)
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says whether a name matches a LIST pattern: `*` is anything, `%` anything
/// without a separator (RFC 3501 §6.3.8). INBOX matches in any case. Takes
/// time in proportion to pattern times name, whatever the wildcards.
pub fn matches(pattern: &[u8], name: &FolderName) -> bool {
    let fold = |b: u8| {
        if name.is_inbox() {
            b.to_ascii_uppercase()
        } else {
            b
        }
    };
    // `reached[i]`: the pattern so far can match the first `i` bytes.
    let name = name.as_str().as_bytes();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for &wanted in pattern {
        match wanted {
            b'*' | b'%' => {
                for i in 0..name.len() {
                    reached[i + 1] |= reached[i] && (wanted == b'*' || name[i] != SEPARATOR);
                }
            }
            _ => {
                for i in (0..name.len()).rev() {
                    reached[i + 1] = reached[i] && name[i] == fold(wanted);
                }
                reached[0] = false;
            }
        }
    }
    reached[name.len()]
}

fn decode_utf7(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('-').map(|length| at + length) else {
            break;
        };
        match &rest[at + 1..end] {
            "" => out.push('&'),
            shifted => {
                let bytes = BASE64.decode(shifted).unwrap_or_default();
                let units = bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .copied()
                    .map(u16::from_be_bytes);
                out.extend(char::decode_utf16(units).flatten());
            }
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

fn check_utf7(text: &str) -> Result<(), NameError> {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let end = rest[at..].find('-').ok_or(NameError::Encoding)? + at;
        let shifted = &rest[at + 1..end];
        if !shifted.is_empty() {
            let bytes = BASE64.decode(shifted).map_err(|_| NameError::Encoding)?;
            let (pairs, odd) = bytes.as_chunks::<2>();
            let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
            let fine = odd.is_empty()
                && char::decode_utf16(units).all(|c| c.is_ok_and(|c| !c.is_control()));
            if !fine {
                return Err(NameError::Encoding);
            }
        }
        rest = &rest[end + 1..];
    }
    Ok(())
}

/// Writes UTF-8 as modified UTF-7.
pub(crate) fn encode_utf7(text: &str) -> String {
    let mut out = String::new();
    let mut shifted: Vec<u8> = Vec::new();
    let flush = |shifted: &mut Vec<u8>, out: &mut String| {
        if !shifted.is_empty() {
            out.push('&');
            out.push_str(&BASE64.encode(&shifted));
            out.push('-');
            shifted.clear();
        }
    };
    for c in text.chars() {
        match c {
            '&' => {
                flush(&mut shifted, &mut out);
                out.push_str("&-");
            }
            ' '..='~' => {
                flush(&mut shifted, &mut out);
                out.push(c);
            }
            _ => shifted.extend(
                c.encode_utf16(&mut [0; 2])
                    .iter()
                    .flat_map(|unit| unit.to_be_bytes()),
            ),
        }
    }
    flush(&mut shifted, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FolderName {
        FolderName::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_that_could_leave_the_maildir_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "a/b",
            "../../etc",
            "a/../b",
            "a\0b",
            "a\nb",
            "INBOX.",
            "a. .b",
            "&",
            "&!-",
            "&AAA",
            "&AAo-",
        ] {
            assert!(FolderName::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(FolderName::parse(&[b'a'; 300]).is_err());
        assert!(FolderName::parse(b"\xff").is_err());
    }

    #[test]
    fn one_folder_has_one_name() {
        assert!(name("inbox").is_inbox());
        assert_eq!(name("INBOX.Sent"), name("Sent"));
        assert_eq!(name("Entwürfe"), name("Entw&APw-rfe"));
        assert_eq!(name("Entwürfe").as_str(), "Entw&APw-rfe");
        assert_eq!(name("a&-b").as_str(), "a&-b");
        assert_eq!(name("sent").special_use(), Some("\\Sent"));
        assert!(name("A.B.C").is_below(&name("A.B")) && !name("AB").is_below(&name("A")));
    }

    #[test]
    fn patterns_are_those_of_list() {
        for (pattern, folder, matched) in [
            ("*", "A.B", true),
            ("%", "A.B", false),
            ("%", "A", true),
            ("A.%", "A.B", true),
            ("A*", "A.B.C", true),
            ("%.%", "A.B.C", false),
            ("inbox", "INBOX", true),
            ("in%", "INBOX", true),
            ("a", "A", false),
            ("*B*", "A.B.C", true),
            ("", "A", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), &name(folder)),
                matched,
                "{pattern} {folder}"
            );
        }
        let hostile = b"*a".repeat(1000);
        assert!(!matches(&hostile, &name(&"a".repeat(240))));
    }
}
