//! What an answer looks like (RFC 3834 §3).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ::message::fields;

use super::decision::Envelope;
use super::options::Options;

/// Bytes of the original that are attached.
const ORIGINAL_BYTES_MAX: usize = 256 * 1024;
/// Longest value taken over from the original.
const VALUE_BYTES_MAX: usize = 900;
/// Fields a text file may not set: they decide where the answer goes and what
/// is thought of it.
const RESERVED: [&str; 10] = [
    "To",
    "Cc",
    "Bcc",
    "Auto-Submitted",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Transfer-Encoding",
];

/// All an answer is made from.
pub(super) struct Parts<'a> {
    pub options: &'a Options,
    pub envelope: &'a Envelope,
    pub header: &'a [u8],
    pub original: &'a File,
    pub text: &'a [u8],
    pub from: &'a [u8],
    pub me: &'a [u8],
    pub now: i64,
}

/// Writes the answer. Whatever a stranger's message says, it adds no field.
pub(super) fn compose(parts: &Parts<'_>) -> io::Result<Vec<u8>> {
    let own = Text::read(parts.text);
    let mut reply = Vec::new();
    let mut field = |name: &str, value: &[u8]| {
        let value = one_line(value);
        reply.extend_from_slice(&[name.as_bytes(), b": ", &value, b"\n"].concat());
    };
    let random = format!("{:016x}{:016x}", os::clock::random(), os::clock::random());
    field("Auto-Submitted", b"auto-replied");
    field("Date", tai::header_date(parts.now).as_bytes());
    let id = format!("<{}.{random}@", parts.now);
    field("Message-ID", &[id.as_bytes(), parts.me, b">"].concat());
    let from = match parts.options.from {
        None => own.field("From"),
        Some(_) => None,
    };
    field("From", &from.unwrap_or_else(|| parts.from.to_vec()));
    let to = address::Quoted(&parts.envelope.sender).to_vec();
    field("To", &[b"<", &to[..], b">"].concat());
    if let Some(id) = value(parts.header, "Message-ID") {
        field("In-Reply-To", &id);
        let references = value(parts.header, "References").map(|r| [&r[..], b" ", &id].concat());
        field("References", &references.unwrap_or(id));
    }
    let subject = match (&parts.options.subject, own.field("Subject")) {
        (Some(subject), _) => subject.clone(),
        (None, Some(subject)) => expand(&subject, parts),
        (None, None) => {
            let original = value(parts.header, "Subject").unwrap_or_default();
            [&parts.options.prefix[..], &original].concat()
        }
    };
    field("Subject", &subject);
    for line in &own.fields {
        let name = String::from_utf8_lossy(line.name).into_owned();
        let taken = ["From", "Subject", "Content-Type"]
            .iter()
            .any(|n| line.is(n));
        if !taken && !RESERVED.iter().any(|reserved| line.is(reserved)) {
            field(&name, &line.unfolded());
        }
    }
    field("MIME-Version", b"1.0");
    let kind = parts
        .options
        .content_type
        .clone()
        .or_else(|| own.field("Content-Type"))
        .unwrap_or_else(|| b"text/plain; charset=utf-8".to_vec());
    let body = expand(own.body, parts);
    if !parts.options.attach {
        field("Content-Type", &kind);
        field("Content-Transfer-Encoding", b"8bit");
        return Ok([&reply[..], b"\n", &body].concat());
    }
    let boundary = format!("multipart/mixed; boundary=\"{random}\"");
    field("Content-Type", boundary.as_bytes());
    let head = format!("\n--{random}\nContent-Type: ");
    reply.extend_from_slice(&[head.as_bytes(), &one_line(&kind)].concat());
    reply.extend_from_slice(b"\nContent-Transfer-Encoding: 8bit\n\n");
    reply.extend_from_slice(&body);
    reply.extend_from_slice(format!("\n--{random}\nContent-Type: message/rfc822\n\n").as_bytes());
    reply.extend_from_slice(&start_of(parts.original)?);
    reply.extend_from_slice(format!("\n--{random}--\n").as_bytes());
    Ok(reply)
}

/// The text file: fields, an empty line and the body, or only a body.
struct Text<'a> {
    fields: Vec<::message::Field<'a>>,
    body: &'a [u8],
}

impl<'a> Text<'a> {
    fn read(text: &'a [u8]) -> Self {
        let body = ::message::body_offset(text);
        let found: Vec<_> = fields(text).collect();
        let has_header = body < text.len() && !found.is_empty();
        if has_header && found.iter().all(|field| !field.name.is_empty()) {
            return Self {
                fields: found,
                body: &text[body..],
            };
        }
        Self {
            fields: Vec::new(),
            body: text,
        }
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.fields.iter().find(|field| field.is(name));
        found.map(|field| field.unfolded())
    }
}

/// The value of a field, short enough and on one line.
fn value(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let found = fields(header).find(|field| field.is(name))?;
    let mut value = found.unfolded();
    if VALUE_BYTES_MAX < value.len() {
        value.truncate(character_start(&value, VALUE_BYTES_MAX));
    }
    Some(one_line(&value)).filter(|value| !value.is_empty())
}

/// Where the UTF-8 character that holds this byte begins.
fn character_start(text: &[u8], at: usize) -> usize {
    let starts = |at: &usize| text[*at] & 0xc0 != 0x80;
    (at.saturating_sub(3)..=at).rev().find(starts).unwrap_or(at)
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let plain = text
        .iter()
        .map(|&b| if b < 0x20 || b == 0x7f { b' ' } else { b });
    plain.collect()
}

/// Replaces `%S` and the like by what the original says.
fn expand(text: &[u8], parts: &Parts<'_>) -> Vec<u8> {
    let field = |name| value(parts.header, name).unwrap_or_default();
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let letter = bytes.next().copied();
        let value = match letter {
            Some(b'S') => field("Subject"),
            Some(b'D') => field("Date"),
            Some(b'd') => tai::header_date(parts.now).into_bytes(),
            Some(b't') => one_line(&parts.envelope.recipient),
            Some(b'T') => field("To"),
            Some(b'C') => field("Cc"),
            Some(b'B') => field("Bcc"),
            Some(b'F') => field("From"),
            Some(b'R') => one_line(&parts.envelope.sender),
            Some(b'r') => field("X-Bogosity"),
            Some(b'M') => field("X-Mailer"),
            Some(b'm') => field("Message-ID"),
            Some(b'%') => b"%".to_vec(),
            Some(other) => vec![b'%', other],
            None => b"%".to_vec(),
        };
        out.extend_from_slice(&value);
    }
    out
}

fn start_of(original: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0; ORIGINAL_BYTES_MAX];
    let mut length = 0;
    while length < text.len() {
        match original.read_at(&mut text[length..], length as u64)? {
            0 => break,
            got => length += got,
        }
    }
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn reply(options: &[&str], header: &str, text: &str) -> String {
        let words: Vec<OsString> = options
            .iter()
            .chain(&["text", "dir"])
            .map(OsString::from)
            .collect();
        let original = delivery::memory_file(format!("{header}\nhello\n").as_bytes()).unwrap();
        let parts = Parts {
            options: &Options::parse(&words).unwrap(),
            envelope: &Envelope {
                sender: b"ann@x".to_vec(),
                recipient: b"joe@h".to_vec(),
            },
            header: header.as_bytes(),
            original: &original,
            text: text.as_bytes(),
            from: b"joe@h",
            me: b"mx.h",
            now: 1_000_000_000,
        };
        String::from_utf8(compose(&parts).unwrap()).unwrap()
    }

    #[test]
    fn an_answer_says_that_it_is_one() {
        let reply = reply(&[], "Message-ID: <1@x>\nSubject: hi\n", "I am away.\n");
        for line in [
            "Auto-Submitted: auto-replied\n",
            "\nFrom: joe@h\nTo: <ann@x>\n",
            "\nIn-Reply-To: <1@x>\nReferences: <1@x>\n",
            "\nSubject: Autoreply: Re: hi\n",
            "\n\nI am away.\n",
        ] {
            assert!(reply.contains(line), "{line} in {reply}");
        }
    }

    #[test]
    fn the_text_may_have_fields_and_percent_signs() {
        let text = "Subject: on %S\nBcc: eve@x\nReply-To: bob@x\n\n%R wrote \"%S\" at 100%%, %z%";
        let reply = reply(&[], "Subject: hi\n", text);
        assert!(reply.contains("\nSubject: on hi\n"), "{reply}");
        assert!(reply.contains("\nReply-To: bob@x\n"), "{reply}");
        assert!(!reply.contains("Bcc"), "{reply}");
        assert!(
            reply.ends_with("\n\nann@x wrote \"hi\" at 100%, %z%"),
            "{reply}"
        );
    }

    #[test]
    fn a_text_that_is_no_header_is_a_body() {
        let reply = reply(&[], "", "Dear friend,\n\nI am: away\n");
        assert!(
            reply.ends_with("\n\nDear friend,\n\nI am: away\n"),
            "{reply}"
        );
    }

    #[test]
    fn the_original_comes_along_when_asked_for() {
        let reply = reply(&["-c", "-S", "away"], "Subject: hi\n", "text");
        assert!(reply.contains("\nSubject: away\n"));
        assert!(reply.contains("Content-Type: message/rfc822\n\nSubject: hi\n\nhello\n"));
    }

    #[test]
    fn a_long_subject_is_cut_between_characters() {
        for ascii in 0..4 {
            let subject = format!("{}{}", "a".repeat(ascii), "\u{20ac}".repeat(1000));
            let reply = reply(&[], &format!("Subject: {subject}\n"), "text");
            assert!(!reply.contains(char::REPLACEMENT_CHARACTER));
            assert!(reply.lines().all(|line| line.len() < 998), "{reply}");
        }
    }

    #[test]
    fn no_stranger_adds_a_field() {
        property::holds(|u| {
            let subject = property::bytes(u)?;
            let header = [b"Subject: ", &subject[..], b"\n"].concat();
            let header = String::from_utf8_lossy(&header).into_owned();
            let reply = reply(&[], &header, "%S");
            let names = fields(reply.as_bytes()).map(|f| f.name.to_vec());
            let count = names.filter(|name| !name.is_empty()).count();
            assert!([9, 11].contains(&count), "{reply}");
            Ok(())
        });
    }
}
