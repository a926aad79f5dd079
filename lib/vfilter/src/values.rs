//! What the header fields of a message and of its parts say, ready to be
//! compared.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use message::AddressList;
use message::parts::{Piece, Then, Walk};

use crate::HeaderList;

/// Values of one message that are kept, bytes.
const BYTES_MAX: usize = 1 << 20;

/// Fields whose values are addresses.
const ADDRESSES: [&str; 14] = [
    "return-path",
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "sender",
    "errors-to",
    "x-sender",
    "x-forwarded-to",
    "x-forwarded-for",
    "return-receipt-to",
    "dispostion-notification-to",
    "disposition-notification-to",
];
/// Fields that say who a message is for.
const RECIPIENTS: [&str; 3] = ["to", "cc", "bcc"];

/// The values of the fields rules can name, in lower case.
#[derive(Debug, Default)]
pub struct Values {
    /// Names and values.
    fields: Vec<(String, String)>,
    bytes: usize,
}

/// Collects the values of a message that comes in pieces.
#[derive(Debug)]
pub struct Reader<'a> {
    headers: &'a HeaderList,
    walk: Walk,
    values: Values,
}

impl<'a> Reader<'a> {
    /// Before the first byte. Fields that are not in the list are left out.
    pub fn new(headers: &'a HeaderList) -> Self {
        Self {
            headers,
            walk: Walk::default(),
            values: Values::default(),
        }
    }

    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self {
            headers,
            walk,
            values,
        } = self;
        walk.push(bytes, |piece| values.look(headers, piece));
    }

    /// All there is.
    pub fn finish(self) -> Values {
        let Self {
            headers,
            walk,
            mut values,
        } = self;
        walk.finish(|piece| values.look(headers, piece));
        values
    }
}

impl Values {
    fn look(&mut self, headers: &HeaderList, piece: Piece<'_>) -> Then {
        if let Piece::Field(field) = piece {
            self.add(headers, field);
        }
        match self.bytes {
            0..BYTES_MAX => Then::On,
            _ => Then::Stop,
        }
    }

    fn add(&mut self, headers: &HeaderList, field: &[u8]) {
        let Some(colon) = field.iter().position(|&b| b == b':') else {
            return;
        };
        let name = field[..colon].trim_ascii();
        if !headers.has(name) && !RECIPIENTS.iter().any(|known| is(name, known)) {
            return;
        }
        let name = String::from_utf8_lossy(name).to_lowercase();
        for value in told(&name, field[colon + 1..].trim_ascii()) {
            self.bytes += name.len() + value.len();
            self.fields.push((name.clone(), value));
        }
    }

    /// The values of a field, in any case; for a field of addresses each is
    /// one address.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
    }

    /// The addresses in To, Cc and Bcc.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        RECIPIENTS.iter().flat_map(|name| self.of(name))
    }
}

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

fn told(name: &str, value: &[u8]) -> Vec<String> {
    let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    if ADDRESSES.contains(&name)
        && let Ok(list) = AddressList::parse(value)
    {
        let addresses: Vec<String> = list.bare().map(|address| lower(&address)).collect();
        if !addresses.is_empty() {
            return addresses;
        }
    }
    // What a person reads, and what is there.
    let is_encoded = value.windows(2).any(|pair| pair == b"=?");
    let decoded = is_encoded.then(|| decoded(value)).flatten();
    decoded
        .map(|text| text.to_lowercase())
        .into_iter()
        .chain([lower(value)])
        .collect()
}

/// A value with its encoded words decoded (RFC 2047).
fn decoded(value: &[u8]) -> Option<String> {
    let line = [value, b"\n"].concat();
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(message: &str) -> Values {
        let headers = HeaderList::default();
        let mut reader = Reader::new(&headers);
        reader.push(message.as_bytes());
        reader.finish()
    }

    fn of<'a>(values: &'a Values, name: &'a str) -> Vec<&'a str> {
        values.of(name).collect()
    }

    #[test]
    fn addresses_words_and_parts() {
        let values = values(
            "From: \"Joe, X\" <Joe@Example.COM>\nTo: a@b, (c) d@e\nTO: f@g\nX-Unknown: x\n\
             Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=b\n\n\
             --b\nContent-Type: application/x-Evil\n\nSubject: body\n--b--\n",
        );
        assert_eq!(of(&values, "from"), ["joe@example.com"]);
        assert_eq!(of(&values, "To"), ["a@b", "d@e", "f@g"]);
        assert_eq!(values.recipients().count(), 3);
        assert_eq!(
            of(&values, "Subject"),
            ["grüße", "=?utf-8?q?gr=c3=bc=c3=9fe?="]
        );
        assert_eq!(of(&values, "X-Unknown").len(), 0);
        assert_eq!(
            of(&values, "content-type"),
            ["multipart/mixed; boundary=b", "application/x-evil"]
        );
    }

    #[test]
    fn a_message_without_end_is_not_kept() {
        let headers = HeaderList::default();
        let mut reader = Reader::new(&headers);
        let line = format!("Subject: {}\n", "x".repeat(1000));
        for _ in 0..10_000 {
            reader.push(line.as_bytes());
        }
        assert!(reader.finish().bytes < 2 * BYTES_MAX);
    }
}
