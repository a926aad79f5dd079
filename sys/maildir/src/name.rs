//! Names of message files: `1700000000.M1P2.host,S=1234:2,FS`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::flags::{Flags, KEYWORD_LETTERS, System};

/// In which directory a message is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// `new`: no session has claimed it yet.
    New,
    /// `cur`.
    Cur,
}

impl Place {
    /// The directory's name.
    pub fn directory(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// The name of a message file and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileName {
    place: Place,
    base_bytes: u16,
    text: Box<[u8]>,
}

impl FileName {
    /// Takes a name found in a directory; `None` when it cannot be a message.
    pub fn parse(place: Place, text: &[u8]) -> Option<Self> {
        if text.is_empty() || text[0] == b'.' || text.iter().any(|&b| matches!(b, b'/' | 0)) {
            return None;
        }
        let base = memchr::memchr(b':', text).unwrap_or(text.len());
        if base == 0 {
            return None;
        }
        Some(Self {
            place,
            base_bytes: u16::try_from(base).ok()?,
            text: text.into(),
        })
    }

    /// Makes the name of a message in `cur`.
    pub(crate) fn with_flags(base: &[u8], flags: Flags) -> Option<Self> {
        let mut text = base.to_vec();
        text.extend_from_slice(b":2,");
        text.extend(flags.system.letters());
        text.extend(keyword_letters(flags.keywords));
        Self::parse(Place::Cur, &text)
    }

    /// This name in `cur` with other flags. Letters that mean nothing to us
    /// stay.
    pub(crate) fn changed(&self, flags: Flags, keywords_known: usize) -> Self {
        let mut letters: Vec<u8> = flags.system.letters().collect();
        letters.extend(keyword_letters(flags.keywords));
        let known = keywords_known.min(KEYWORD_LETTERS) as u8;
        let foreign = self.letters().iter().copied().filter(|&letter| {
            letter.is_ascii_alphanumeric()
                && System::of_letter(letter).is_none()
                && !(b'a'..b'a' + known).contains(&letter)
        });
        letters.extend(foreign);
        letters.sort_unstable();
        letters.dedup();
        let mut text = self.base().to_vec();
        text.extend_from_slice(b":2,");
        text.extend(letters);
        Self {
            place: Place::Cur,
            base_bytes: self.base_bytes,
            text: text.into(),
        }
    }

    /// The same base with what another program left behind it.
    pub(crate) fn with_suffix(&self, place: Place, suffix: &[u8]) -> Self {
        Self {
            place,
            base_bytes: self.base_bytes,
            text: [self.base(), suffix].concat().into(),
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The whole name.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The part that never changes.
    pub fn base(&self) -> &[u8] {
        &self.text[..usize::from(self.base_bytes)]
    }

    /// The part that says flags, colon included; may be empty.
    pub(crate) fn suffix(&self) -> &[u8] {
        &self.text[usize::from(self.base_bytes)..]
    }

    /// The path below the folder at `folder`.
    pub fn path(&self, folder: &Path) -> PathBuf {
        let mut path = folder.join(self.place.directory());
        path.push(OsStr::from_bytes(&self.text));
        path
    }

    /// System flags the name says.
    pub fn system(&self) -> System {
        let letters = self.letters().iter();
        letters
            .filter_map(|&letter| System::of_letter(letter))
            .fold(System::default(), System::union)
    }

    /// Keywords with letters the name says, as bits.
    pub(crate) fn keywords(&self) -> u64 {
        let letters = self.letters().iter();
        letters
            .filter(|letter| letter.is_ascii_lowercase())
            .fold(0, |bits, letter| bits | 1 << (letter - b'a'))
    }

    /// Bytes of the file, when the name says so (`,S=`).
    pub fn size(&self) -> Option<u64> {
        self.number(b"S=")
    }

    /// Bytes with CR LF line ends, when the name says so (`,W=`).
    pub fn wire_size(&self) -> Option<u64> {
        self.number(b"W=")
    }

    /// When the message arrived, seconds since 1970, if the name begins with
    /// a plausible time.
    pub fn seconds(&self) -> Option<i64> {
        let base = self.base();
        let end = base.iter().position(|byte| !byte.is_ascii_digit())?;
        // Ten digits at most: the next would be after the year 2286.
        if end == 0 || 10 < end || base[end] != b'.' {
            return None;
        }
        std::str::from_utf8(&base[..end]).ok()?.parse().ok()
    }

    /// Sorts messages in the order they arrived, as far as names tell: by
    /// second, then by microsecond (`M` in the second field).
    pub(crate) fn arrival(&self) -> (Option<i64>, u32, &[u8]) {
        let base = self.base();
        let field = base.split(|&byte| byte == b'.').nth(1).unwrap_or_default();
        let microseconds = memchr::memrchr(b'M', field)
            .map(|at| &field[at + 1..])
            .and_then(|rest| {
                let end = rest.iter().position(|byte| !byte.is_ascii_digit());
                std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()
            })
            .and_then(|digits| digits.parse().ok());
        (self.seconds(), microseconds.unwrap_or(0), base)
    }

    fn letters(&self) -> &[u8] {
        self.suffix().strip_prefix(b":2,").unwrap_or_default()
    }

    fn number(&self, key: &[u8]) -> Option<u64> {
        let field = self.base().split(|&byte| byte == b',').skip(1);
        let digits = field.filter_map(|field| field.strip_prefix(key)).next()?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

fn keyword_letters(keywords: u64) -> impl Iterator<Item = u8> {
    (0..KEYWORD_LETTERS as u8)
        .filter(move |number| keywords & (1 << number) != 0)
        .map(|number| b'a' + number)
}

/// A base name nobody has used, without sizes. `seconds` is the time the
/// message is said to have arrived.
pub(crate) fn unique(seconds: i64) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let (now, nanoseconds) = os::clock::now();
    let host: String = os::account::host_name()
        .chars()
        .map(|c| match c {
            '/' => "057".to_owned(),
            ':' => "072".to_owned(),
            // A comma would look like the beginning of a size.
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') => c.to_string(),
            _ => "_".to_owned(),
        })
        .take(64)
        .collect();
    let seconds = if (1..10_000_000_000).contains(&seconds) {
        seconds
    } else {
        now
    };
    format!(
        "{seconds}.M{}P{}Q{count}R{:x}.{host}",
        nanoseconds / 1000,
        std::process::id(),
        os::clock::random(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_size_time_and_flags() {
        let name = FileName::parse(Place::Cur, b"1700000000.M1P2.h,S=12,W=13:2,SFaz").unwrap();
        assert_eq!(name.base(), b"1700000000.M1P2.h,S=12,W=13");
        assert_eq!((name.size(), name.wire_size()), (Some(12), Some(13)));
        assert_eq!(name.seconds(), Some(1_700_000_000));
        assert_eq!(name.system(), System::SEEN | System::FLAGGED);
        assert_eq!(name.keywords(), 1 | 1 << 25);
    }

    #[test]
    fn letters_of_others_stay() {
        let name = FileName::parse(Place::New, b"1.x:2,SXc").unwrap();
        let flags = Flags {
            system: System::REPLIED,
            keywords: 2,
        };
        assert_eq!(name.changed(flags, 2).text(), b"1.x:2,RXbc");
        assert_eq!(name.changed(flags, 3).text(), b"1.x:2,RXb");
    }

    #[test]
    fn names_are_in_the_order_of_arrival() {
        let names = [
            "5.I1aVfM99P7.h",
            "5.M100P6.h",
            "5.M100P6Q1.h",
            "6.a",
            "10.M1P1.h",
        ];
        let parsed = names.map(|name| FileName::parse(Place::New, name.as_bytes()).unwrap());
        assert!(parsed.is_sorted_by(|a, b| a.arrival() < b.arrival()));
    }

    #[test]
    fn any_name_is_parsed_or_ignored() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            if let Some(name) = FileName::parse(Place::Cur, &text) {
                let _ = (name.size(), name.wire_size(), name.arrival(), name.system());
                let again = name.changed(Flags::default(), 0);
                assert_eq!(again.base(), name.base());
                assert_eq!([name.base(), name.suffix()].concat(), text);
            }
            Ok(())
        });
    }

    #[test]
    fn unique_names_differ_and_parse() {
        let (a, b) = (unique(5), unique(5));
        assert_ne!(a, b);
        let name = FileName::parse(Place::Cur, format!("{a},S=7").as_bytes()).unwrap();
        assert_eq!((name.seconds(), name.size()), (Some(5), Some(7)));
    }

    #[test]
    fn flags_that_are_written_are_read() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let system = letters
                .iter()
                .filter_map(|&letter| System::of_letter(letter));
            let flags = Flags {
                system: system.fold(System::default(), System::union),
                keywords: u64::from(u.arbitrary::<u32>()?) & ((1 << KEYWORD_LETTERS) - 1),
            };
            let read = |name: &FileName| (name.system(), name.keywords());
            let expected = (flags.system, flags.keywords);
            let name = FileName::with_flags(b"1700000000.M1P2.host,S=7", flags).unwrap();
            assert_eq!(read(&name), expected);
            assert_eq!(
                (name.size(), name.seconds()),
                (Some(7), Some(1_700_000_000))
            );
            let again = FileName::parse(Place::Cur, name.text()).unwrap();
            assert_eq!(again, name);
            // From whatever was there before.
            let mut before = property::bytes(u)?;
            before.retain(|byte| !matches!(byte, b'/' | b':' | 0));
            let before = [b"1.x:2,", &before[..]].concat();
            let before = FileName::parse(Place::New, &before).unwrap();
            assert_eq!(read(&before.changed(flags, KEYWORD_LETTERS)), expected);
            Ok(())
        });
    }

    #[test]
    fn names_of_other_software_tell_the_same() {
        for (name, size, seconds) in [
            ("1700000000.42.host", None, Some(1_700_000_000)),
            (
                "1700000000.I1aV8fM99P7.host,S=5",
                Some(5),
                Some(1_700_000_000),
            ),
            (
                "1700000000.M1P2V8I3_0.host,S=5,W=6",
                Some(5),
                Some(1_700_000_000),
            ),
            ("1700000000_0.77.host", None, None),
            (
                "1700000000.P1Q2.host\\072x\\057,S=9",
                Some(9),
                Some(1_700_000_000),
            ),
        ] {
            let name = FileName::parse(Place::New, name.as_bytes()).unwrap();
            assert_eq!((name.size(), name.seconds()), (size, seconds));
        }
    }
}
