//! `BODY[...]`: which bytes of a message a section is (RFC 3501 §6.4.5).

use std::borrow::Cow;

use crate::command::{Section, SectionText};
use crate::header;
use crate::mime::{Kind, Part};

/// The bytes of a section; `None` when the message has no such section.
pub fn section<'a>(message: &'a [u8], root: &Part, wanted: &Section) -> Option<Cow<'a, [u8]>> {
    if wanted.part.is_empty() {
        return match &wanted.text {
            SectionText::All => Some(message.into()),
            text => of_message(message, root, text),
        };
    }
    let part = find(root, &wanted.part)?;
    match (&wanted.text, &part.kind) {
        (SectionText::All, _) => Some(message[part.body.clone()].into()),
        (SectionText::Mime, _) => Some(message[part.header.clone()].into()),
        (text, Kind::Message(inner)) => of_message(message, inner, text),
        _ => None,
    }
}

/// The origin and length of `<0.1000>` applied.
pub fn partial(text: &[u8], (first, length): (u32, u32)) -> &[u8] {
    let start = (first as usize).min(text.len());
    let end = start.saturating_add(length as usize).min(text.len());
    &text[start..end]
}

/// HEADER, TEXT and the fields of a message.
fn of_message<'a>(message: &'a [u8], part: &Part, text: &SectionText) -> Option<Cow<'a, [u8]>> {
    let header = &message[part.header.clone()];
    Some(match text {
        SectionText::Header => header.into(),
        SectionText::Text => message[part.body.clone()].into(),
        SectionText::Fields(names) => selected(header, |name| is_one_of(name, names)).into(),
        SectionText::FieldsNot(names) => selected(header, |name| !is_one_of(name, names)).into(),
        SectionText::All | SectionText::Mime => return None,
    })
}

/// Walks the numbers down. Part 1 of a message that is not a multipart is its
/// body; a message inside stands for its own parts.
fn find<'p>(root: &'p Part, numbers: &[u32]) -> Option<&'p Part> {
    let mut part = root;
    let mut inside_message = true;
    for &number in numbers {
        if let Kind::Message(inner) = &part.kind
            && !inside_message
        {
            part = inner;
            inside_message = true;
        }
        match &part.kind {
            Kind::Multipart(parts) => {
                part = parts.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
            }
            _ if inside_message && number == 1 => {}
            _ => return None,
        }
        inside_message = false;
    }
    Some(part)
}

fn selected(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out: Vec<u8> = header::fields(header)
        .filter(|field| wanted(field.name))
        .flat_map(|field| field.lines)
        .copied()
        .collect();
    // "The subset includes the delimiting blank line."
    out.extend_from_slice(b"\r\n");
    out
}

fn is_one_of(name: &[u8], names: &[Vec<u8>]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Item};
    use crate::{mime, parse};

    const MESSAGE: &str = "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
        --o\r\nX: 1\r\n\r\none\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nTo: x\r\n\r\nhello\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=p\r\n\r\n\
        --p\r\n\r\ndeep\r\n--p--\r\n\
        --o--\r\n";

    fn fetched(message: &str, section_text: &str) -> Option<String> {
        let command = parse::command(format!("FETCH 1 BODY[{section_text}]").as_bytes());
        let Ok(Command::Fetch(_, _, items)) = command else {
            panic!("{section_text}")
        };
        let [
            Item::Section {
                section: wanted, ..
            },
        ] = items.as_slice()
        else {
            panic!("one section")
        };
        section(message.as_bytes(), &mime::parse(message.as_bytes()), wanted)
            .map(|text| String::from_utf8(text.into_owned()).unwrap())
    }

    #[test]
    fn sections_of_nested_messages() {
        for (wanted, text) in [
            ("1", Some("one")),
            ("1.MIME", Some("X: 1\r\n\r\n")),
            ("1.HEADER", None),
            ("1.1", None),
            ("2", Some("Subject: inner\r\nTo: x\r\n\r\nhello")),
            ("2.HEADER", Some("Subject: inner\r\nTo: x\r\n\r\n")),
            ("2.TEXT", Some("hello")),
            ("2.1", Some("hello")),
            ("2.1.MIME", Some("Subject: inner\r\nTo: x\r\n\r\n")),
            ("2.HEADER.FIELDS (to bcc)", Some("To: x\r\n\r\n")),
            ("2.HEADER.FIELDS.NOT (TO)", Some("Subject: inner\r\n\r\n")),
            ("2.MIME", Some("Content-Type: message/rfc822\r\n\r\n")),
            ("3.1", Some("deep")),
            ("3.2", None),
            ("4", None),
            ("4294967295", None),
            ("HEADER.FIELDS (SUBJECT)", Some("Subject: outer\r\n\r\n")),
        ] {
            assert_eq!(fetched(MESSAGE, wanted).as_deref(), text, "{wanted}");
        }
        assert_eq!(fetched(MESSAGE, "").as_deref(), Some(MESSAGE));
        let (header, text) = (fetched(MESSAGE, "HEADER"), fetched(MESSAGE, "TEXT"));
        assert_eq!(header.unwrap() + &text.unwrap(), MESSAGE);
    }

    #[test]
    fn part_one_of_a_simple_message_is_its_body() {
        assert_eq!(fetched("A: b\r\n\r\nbody", "1").as_deref(), Some("body"));
        assert_eq!(fetched("A: b\r\n\r\nbody", "2"), None);
        assert_eq!(fetched("A: b\r\n\r\nbody", "1.1"), None);
    }

    #[test]
    fn partials_never_leave_the_text() {
        assert_eq!(partial(b"hello", (1, 3)), b"ell");
        assert_eq!(partial(b"hello", (4, u32::MAX)), b"o");
        assert_eq!(partial(b"hello", (u32::MAX, 1)), b"");
    }
}
