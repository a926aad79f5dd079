//! Whether a message matches a SEARCH (RFC 3501 §6.4.4).
//!
//! A key is first looked at with what is known without the message; only
//! when that does not decide is the header or the whole message read.

use memchr::memmem;

use crate::address;
use crate::command::{Key, When};
use crate::date::Day;
use crate::decode;
pub use crate::decode::fold;
use crate::header;
use crate::mime::{Kind, Part};
use crate::set::Numbers;
use crate::view::Slot;

/// How much of a message is needed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Extent {
    /// Its header.
    Header,
    /// All of it.
    Whole,
}

/// A key made ready for one mailbox: sets have their numbers.
#[derive(Debug)]
pub enum Test {
    /// Every one.
    And(Vec<Test>),
    /// Any one.
    Or(Box<Test>, Box<Test>),
    /// The opposite.
    Not(Box<Test>),
    /// Sequence numbers.
    Sequence(Numbers),
    /// UIDs.
    Uid(Numbers),
    /// Anything that needs no numbers.
    Key(Key),
}

impl Test {
    /// Resolves the sets of a key.
    pub fn new(key: Key, messages: u32, uid_largest: u32) -> Self {
        let new = |key| Self::new(key, messages, uid_largest);
        match key {
            Key::And(keys) => Self::And(keys.into_iter().map(new).collect()),
            Key::Or(one, other) => Self::Or(Box::new(new(*one)), Box::new(new(*other))),
            Key::Not(key) => Self::Not(Box::new(new(*key))),
            Key::Sequence(set) => Self::Sequence(set.resolve(messages)),
            Key::Uid(set) => Self::Uid(set.resolve(uid_largest)),
            key => Self::Key(key),
        }
    }

    /// What of a message decides this at the latest.
    pub fn extent(&self) -> Extent {
        match self {
            Self::And(tests) => tests
                .iter()
                .map(Self::extent)
                .max()
                .unwrap_or(Extent::Header),
            Self::Or(one, other) => one.extent().max(other.extent()),
            Self::Not(test) => test.extent(),
            Self::Key(Key::Body(_) | Key::Text(_) | Key::Larger(_) | Key::Smaller(_)) => {
                Extent::Whole
            }
            Self::Sequence(_) | Self::Uid(_) | Self::Key(_) => Extent::Header,
        }
    }

    /// Whether the message matches; `None` when more of it must be known.
    pub fn matches(&self, subject: &Subject<'_>) -> Option<bool> {
        match self {
            Self::And(tests) => all(tests.iter().map(|test| test.matches(subject))),
            Self::Or(one, other) => {
                let neither = [one, other]
                    .into_iter()
                    .map(|test| Some(!test.matches(subject)?));
                all(neither).map(|neither| !neither)
            }
            Self::Not(test) => Some(!test.matches(subject)?),
            Self::Sequence(numbers) => Some(numbers.contains(subject.sequence)),
            Self::Uid(numbers) => Some(numbers.contains(subject.slot.entry.uid)),
            Self::Key(key) => subject.matches(key),
        }
    }
}

/// False when any is false, unknown when any is unknown, else true.
fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            Some(true) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(true)
}

/// A message as far as it is known.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its sequence number.
    pub sequence: u32,
    /// What the mailbox says.
    pub slot: &'a Slot,
    /// Now, in Unix seconds.
    pub now: i64,
    /// Its header.
    pub header: Option<&'a [u8]>,
    /// All of it, and its parts.
    pub whole: Option<(&'a [u8], &'a Part)>,
}

impl Subject<'_> {
    fn matches(&self, key: &Key) -> Option<bool> {
        let entry = &self.slot.entry;
        let age = self.now - entry.internal_date;
        Some(match key {
            Key::All => true,
            Key::Flag(flag) => entry.flags.has(*flag),
            Key::Recent => entry.recent,
            Key::Keyword(keyword) => entry.flags.has_keyword(keyword),
            Key::Internal(when, day) => compare(*when, Day::of_unix(entry.internal_date), *day),
            Key::Younger(seconds) => age <= i64::from(*seconds),
            Key::Older(seconds) => i64::from(*seconds) <= age,
            Key::Larger(size) => u64::from(*size) < self.size()?,
            Key::Smaller(size) => self.size()? < u64::from(*size),
            Key::Sent(when, day) => match decode::sent(self.header?) {
                Some((sent, _)) => compare(*when, sent, *day),
                None => false,
            },
            Key::Header(name, needle) => in_field(self.header?, name, needle),
            Key::Body(needle) => {
                let (message, part) = self.whole?;
                in_body(message, part, needle)
            }
            Key::Text(needle) => {
                let (message, part) = self.whole?;
                in_header(&message[part.header.clone()], needle) || in_body(message, part, needle)
            }
            // `Test::new` has taken these apart.
            Key::And(_) | Key::Or(..) | Key::Not(_) | Key::Sequence(_) | Key::Uid(_) => false,
        })
    }

    fn size(&self) -> Option<u64> {
        let whole = self.whole.map(|(message, _)| message.len() as u64);
        self.slot.entry.size.or(whole)
    }
}

fn compare(when: When, day: Day, wanted: Day) -> bool {
    match when {
        When::Before => day < wanted,
        When::On => day == wanted,
        When::Since => wanted <= day,
    }
}

/// Fields that are searched by address too.
const ADDRESS_FIELDS: [&[u8]; 4] = [b"From", b"To", b"Cc", b"Bcc"];

/// An empty text matches when the field is there at all.
fn in_field(header: &[u8], name: &[u8], needle: &str) -> bool {
    let has_addresses = ADDRESS_FIELDS.iter().any(|f| name.eq_ignore_ascii_case(f));
    header::fields(header)
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .any(|field| {
            needle.is_empty()
                || contains(&decode::field_text(field.value), needle)
                || has_addresses && in_addresses(field.value, needle)
        })
}

/// FROM and the like search what ENVELOPE shows (RFC 3501 §6.4.4), where an
/// address has neither comments nor blanks in it.
fn in_addresses(value: &[u8], needle: &str) -> bool {
    let value = &value[..value.len().min(decode::FIELD_BYTES_MAX)];
    address::parse(value).iter().any(|address| {
        let (Some(mailbox), Some(host)) = (&address.mailbox, &address.host) else {
            return false;
        };
        let whole = [&mailbox[..], b"@", host].concat();
        contains(&String::from_utf8_lossy(&whole), needle)
    })
}

fn in_header(header: &[u8], needle: &str) -> bool {
    header::fields(header).any(|field| {
        let name = String::from_utf8_lossy(field.name);
        contains(
            &format!("{name}: {}", decode::field_text(field.value)),
            needle,
        )
    })
}

fn in_body(message: &[u8], part: &Part, needle: &str) -> bool {
    if needle.is_empty() {
        return true;
    }
    match &part.kind {
        Kind::Leaf => decode::body_text(message, part).is_some_and(|text| contains(&text, needle)),
        Kind::Multipart(parts) => parts.iter().any(|part| in_body(message, part, needle)),
        Kind::Message(inner) => {
            in_header(&message[inner.header.clone()], needle) || in_body(message, inner, needle)
        }
    }
}

fn contains(text: &str, needle: &str) -> bool {
    memmem::find(fold(text).as_bytes(), needle.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::mime;
    use crate::parse;
    use crate::view::Entry;

    const MESSAGE: &str = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: ann@x\r\n\
        Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nSubject: Re: Caf=\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep text\r\n--b--\r\n";

    fn found(search: &str) -> Option<bool> {
        found_with(search, true)
    }

    fn found_with(search: &str, read: bool) -> Option<bool> {
        let Ok(Command::Search(_, search)) = parse::command(format!("SEARCH {search}").as_bytes())
        else {
            panic!("{search}");
        };
        let mut entry = Entry {
            uid: 7,
            internal_date: 837_596_665,
            ..Entry::default()
        };
        entry.flags.add_name(b"\\Seen");
        entry.flags.add_name(b"$Label1");
        let part = mime::parse(MESSAGE.as_bytes());
        let subject = Subject {
            sequence: 3,
            slot: &Slot::new(entry),
            now: 837_596_765,
            header: read.then(|| &MESSAGE.as_bytes()[part.header.clone()]),
            whole: read.then_some((MESSAGE.as_bytes(), &part)),
        };
        Test::new(search.key, 3, 7).matches(&subject)
    }

    #[test]
    fn an_address_is_found_without_the_comments_in_it() {
        let header = b"From: <ann (the first)@ (at home) example.org>\r\n\r\n";
        assert!(in_field(header, b"From", "ann@example.org"));
        assert!(in_field(header, b"From", "the first"));
        assert!(!in_field(header, b"Subject", "ann@example.org"));
    }

    #[test]
    fn keys_of_the_rfc() {
        for search in [
            "ALL",
            "SEEN",
            "UNFLAGGED",
            "KEYWORD $label1",
            "UNKEYWORD x",
            "UID 5:*",
            "3",
            "2:4",
            "NOT 1:2",
            "OR FLAGGED SEEN",
            "(SEEN UNDELETED) ALL",
            "FROM \"J\u{f6}RG\"",
            "FROM example.org",
            "TO ann",
            "HEADER Subject \"\"",
            "HEADER subject \"re: caf\"",
            "SENTON 17-Jul-1996",
            "SENTBEFORE 18-Jul-1996",
            "SENTSINCE 17-Jul-1996",
            "ON 17-Jul-1996",
            "SINCE 1-Jan-1996",
            "BODY \"HELLO WORLD\"",
            "TEXT hello",
            "TEXT inner",
            "BODY \"deep  text\"",
            "TEXT J\u{f6}rg",
            "LARGER 10",
            "SMALLER 10000",
            "YOUNGER 200",
            "OLDER 50",
            "OLD",
        ] {
            let search = search.replace("J\u{f6}rg", "{5+}\r\nJ\u{f6}rg");
            assert_eq!(found(&search), Some(true), "{search}");
        }
        for search in [
            "UNSEEN",
            "NOT ALL",
            "DELETED",
            "UID 8",
            "1:2",
            "BODY nothing",
            "BODY example",
            "NEW",
            "RECENT",
            "HEADER X-No \"\"",
            "BEFORE 17-Jul-1996",
            "LARGER 100000",
            "NOT SEEN",
            "BCC ann",
            "UID 1:3",
        ] {
            assert_eq!(found(search), Some(false), "{search}");
        }
    }

    #[test]
    fn a_message_is_read_only_when_that_decides() {
        assert_eq!(found_with("UNSEEN FROM x", false), Some(false));
        assert_eq!(found_with("FROM x UNSEEN", false), Some(false));
        assert_eq!(found_with("OR SEEN BODY x", false), Some(true));
        assert_eq!(found_with("SEEN FROM x", false), None);
    }
}
