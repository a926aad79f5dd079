//! SORT: what messages are ordered by (RFC 5256).

use std::cmp::Ordering;

use crate::address;
use crate::command::{Order, SortKey};
use crate::decode;
use crate::header;
use crate::view::Slot;

/// Most references taken of one message.
const REFERENCES_MAX: usize = 1_000;

/// What SORT and THREAD know of a message.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Sequence number, which decides between equals.
    pub sequence: u32,
    /// Base subject (RFC 5256 §2.1), in capitals.
    pub subject: String,
    /// Whether the subject had a `Re:` or the like.
    pub is_reply: bool,
    /// Unix seconds, from Date, else INTERNALDATE.
    pub date: i64,
    /// Message-ID.
    pub id: String,
    /// IDs of References, else the first one of In-Reply-To.
    pub references: Vec<String>,
    arrival: i64,
    size: u64,
    from: String,
    to: String,
    cc: String,
}

impl Facts {
    /// Takes them from a header.
    pub fn new(sequence: u32, slot: &Slot, size: Option<u64>, header: &[u8]) -> Self {
        let mut facts = Self {
            sequence,
            arrival: slot.entry.internal_date,
            date: decode::sent(header).map_or(slot.entry.internal_date, |(_, seconds)| seconds),
            size: size.unwrap_or_default(),
            ..Self::default()
        };
        let mut in_reply_to = Vec::new();
        for field in header::fields(header) {
            match field.name.to_ascii_lowercase().as_slice() {
                b"subject" if facts.subject.is_empty() => {
                    let (base, is_reply) = base_subject(&decode::field_text(field.value));
                    (facts.subject, facts.is_reply) = (collated(&base), is_reply);
                }
                b"from" if facts.from.is_empty() => facts.from = first_mailbox(field.value),
                b"to" if facts.to.is_empty() => facts.to = first_mailbox(field.value),
                b"cc" if facts.cc.is_empty() => facts.cc = first_mailbox(field.value),
                b"message-id" if facts.id.is_empty() => {
                    facts.id = ids(field.value).into_iter().next().unwrap_or_default();
                }
                b"references" if facts.references.is_empty() => facts.references = ids(field.value),
                b"in-reply-to" => in_reply_to = ids(field.value),
                _ => {}
            }
        }
        if facts.references.is_empty() {
            in_reply_to.truncate(1);
            facts.references = in_reply_to;
        }
        facts
    }

    fn compare(&self, other: &Self, key: SortKey) -> Ordering {
        match key {
            SortKey::Arrival => self.arrival.cmp(&other.arrival),
            SortKey::Date => self.date.cmp(&other.date),
            SortKey::Size => self.size.cmp(&other.size),
            SortKey::Subject => self.subject.cmp(&other.subject),
            SortKey::From => self.from.cmp(&other.from),
            SortKey::To => self.to.cmp(&other.to),
            SortKey::Cc => self.cc.cmp(&other.cc),
        }
    }
}

/// Whether a criterion needs the header.
pub fn needs_header(key: SortKey) -> bool {
    !matches!(key, SortKey::Arrival | SortKey::Size)
}

/// The order of messages, as positions in `facts`.
pub fn sort(facts: &[Facts], criteria: &[(SortKey, Order)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&facts[a], &facts[b]);
        criteria
            .iter()
            .map(|&(key, order)| match order {
                Order::Ascending => a.compare(b, key),
                Order::Descending => b.compare(a, key),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| a.sequence.cmp(&b.sequence))
    });
    order
}

/// The subject without `Re:`, `Fwd:`, `[list]` and `(fwd)`, and whether
/// anything said "reply" (RFC 5256 §2.1).
pub fn base_subject(subject: &str) -> (String, bool) {
    let folded = decode::fold(subject);
    let mut text = folded.trim();
    let mut is_reply = false;
    loop {
        let before = text;
        while let Some(rest) = text.strip_suffix("(fwd)") {
            (text, is_reply) = (rest.trim_end(), true);
        }
        if let Some(rest) = without_reply(text) {
            (text, is_reply) = (rest, true);
        } else if let Some(rest) = without_blob(text)
            && !rest.is_empty()
        {
            text = rest;
        }
        if let Some(rest) = text.strip_prefix("[fwd:")
            && let Some(rest) = rest.strip_suffix(']')
        {
            (text, is_reply) = (rest.trim(), true);
        }
        if text == before {
            return (text.to_owned(), is_reply);
        }
    }
}

/// `re:`, `fw:`, `fwd:`, with `[...]` before the colon perhaps.
fn without_reply(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"]
        .into_iter()
        .find_map(|word| text.strip_prefix(word))?
        .trim_start();
    let rest = without_blob(rest).unwrap_or(rest);
    rest.strip_prefix(':').map(str::trim_start)
}

fn without_blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    inside[end..].strip_prefix(']').map(str::trim_start)
}

fn first_mailbox(value: &[u8]) -> String {
    let value = &value[..value.len().min(decode::FIELD_BYTES_MAX)];
    let first = address::parse(value)
        .into_iter()
        .find_map(|address| address.mailbox);
    collated(&decode::fold(&String::from_utf8_lossy(
        &first.unwrap_or_default(),
    )))
}

/// As it is compared: the collations of RFC 4790 and RFC 5051 go by capital
/// letters, which decides what comes before `_` or `[`.
fn collated(text: &str) -> String {
    text.to_uppercase()
}

/// Message IDs in a field, without their brackets.
fn ids(value: &[u8]) -> Vec<String> {
    let value = header::unfold(value);
    let mut ids = Vec::new();
    let mut rest = &value[..];
    while let Some(start) = memchr::memchr(b'<', rest)
        && ids.len() < REFERENCES_MAX
    {
        let inside = &rest[start + 1..];
        let Some(end) = memchr::memchr(b'>', inside) else {
            break;
        };
        ids.push(String::from_utf8_lossy(&inside[..end]).into_owned());
        rest = &inside[end + 1..];
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Entry;

    #[test]
    fn subjects_are_compared_without_what_mailers_add() {
        for (subject, base, reply) in [
            ("Re: Fwd: [list] Hello", "hello", true),
            ("re[2]: hello (fwd)", "hello", true),
            ("[list] Hello", "hello", false),
            ("[fwd: Re: hello]", "hello", true),
            ("[only]", "[only]", false),
            ("Rehearsal", "rehearsal", false),
            ("", "", false),
        ] {
            assert_eq!(base_subject(subject), (base.to_owned(), reply), "{subject}");
        }
    }

    #[test]
    fn criteria_are_tried_in_order() {
        let facts = |sequence, header: &str| {
            Facts::new(
                sequence,
                &Slot::new(Entry::default()),
                None,
                header.as_bytes(),
            )
        };
        let all = [
            facts(1, "Subject: b\nFrom: z@x\n"),
            facts(2, "Subject: Re: a\nFrom: y@x\n"),
            facts(3, "Subject: A\nFrom: x@x\n"),
        ];
        let by = |criteria: &[(SortKey, Order)]| sort(&all, criteria);
        assert_eq!(by(&[(SortKey::Subject, Order::Ascending)]), [1, 2, 0]);
        let odd = [facts(1, "Subject: _\n"), facts(2, "Subject: z\n")];
        assert_eq!(sort(&odd, &[(SortKey::Subject, Order::Ascending)]), [1, 0]);
        assert_eq!(
            by(&[
                (SortKey::Subject, Order::Ascending),
                (SortKey::From, Order::Ascending)
            ]),
            [2, 1, 0]
        );
        assert_eq!(by(&[(SortKey::From, Order::Descending)]), [0, 1, 2]);
    }
}
