//! The parts of a message as files, and the names they may have where they
//! are opened.

use std::borrow::Cow;
use std::collections::BTreeSet;

use imap::mime::{self, ContentType, Kind, Parameters, Part};
use imap::{decode, header};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

/// Beginnings of files that are programs, whatever they are called.
const MAGIC: &[(&[u8], &[u8])] = &[(b"MZ", b"program.exe"), (b"\x7fELF", b"program.elf")];

/// A part that is no container.
#[derive(Debug)]
pub struct Attachment<'a> {
    /// All names that some program may see: declared ones, decoded ones, and
    /// one by the beginning of the content.
    pub names: BTreeSet<Vec<u8>>,
    /// What it says, its transfer encoding undone.
    pub content: Cow<'a, [u8]>,
}

impl Attachment<'_> {
    /// Says whether a name has bytes that no name of a file has.
    pub fn is_malformed(&self) -> bool {
        self.names
            .iter()
            .any(|name| name.iter().any(u8::is_ascii_control))
    }
}

/// All of them, in the order of the message.
pub fn of(message: &[u8]) -> Vec<Attachment<'_>> {
    let mut found = Vec::new();
    collect(message, &mime::parse(message), &mut found);
    found
}

fn collect<'a>(message: &'a [u8], part: &Part, found: &mut Vec<Attachment<'a>>) {
    match &part.kind {
        Kind::Multipart(parts) => parts.iter().for_each(|part| collect(message, part, found)),
        Kind::Message(inner) => collect(message, inner, found),
        Kind::Leaf => found.push(attachment(message, part)),
    }
}

fn attachment<'a>(message: &'a [u8], part: &Part) -> Attachment<'a> {
    let header = &message[part.header.clone()];
    let content = decoded(header, &message[part.body.clone()]);
    let mut names = BTreeSet::new();
    // Programs differ in which of several fields of a name they believe.
    for field in header::fields(header) {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
        if is("Content-Disposition") {
            let (_, parameters) = mime::with_parameters(&header::unfold(field.value));
            collect_names(&parameters, "filename", &mut names);
        } else if is("Content-Type")
            && let Some(kind) = ContentType::parse(&header::unfold(field.value))
        {
            collect_names(&kind.parameters, "name", &mut names);
        }
    }
    let magic = MAGIC.iter().find(|(start, _)| content.starts_with(start));
    names.extend(magic.map(|(_, name)| name.to_vec()));
    names.remove(&b""[..]);
    Attachment { names, content }
}

fn decoded<'a>(header: &[u8], body: &'a [u8]) -> Cow<'a, [u8]> {
    let encoding = header::value(header, "Content-Transfer-Encoding").unwrap_or_default();
    let decoded = match encoding.trim_ascii().to_ascii_lowercase().as_slice() {
        b"base64" => base64_decode(body),
        b"quoted-printable" => quoted_printable_decode(body),
        _ => None,
    };
    decoded.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// The values of a parameter: as it stands, its encoded words decoded
/// (RFC 2047, which forbids them there), and its pieces put together
/// (RFC 2231).
fn collect_names(parameters: &Parameters, wanted: &str, names: &mut BTreeSet<Vec<u8>>) {
    let mut pieces = Vec::new();
    for (name, value) in parameters {
        let name = name.to_ascii_lowercase();
        let Some(rest) = name.strip_prefix(wanted.as_bytes()) else {
            continue;
        };
        if rest.is_empty() {
            names.insert(decode::field_text(value).into_bytes());
            names.insert(value.clone());
        } else if let Some(rest) = rest.strip_prefix(b"*") {
            let (number, is_encoded) = match rest.strip_suffix(b"*") {
                _ if rest.is_empty() => (&b"0"[..], true),
                Some(number) => (number, true),
                None => (rest, false),
            };
            let number: u32 = std::str::from_utf8(number)
                .ok()
                .and_then(|number| number.parse().ok())
                .unwrap_or(u32::MAX);
            pieces.push((number, is_encoded, value));
        }
    }
    pieces.sort();
    let mut whole = Vec::new();
    for (at, (_, is_encoded, value)) in pieces.into_iter().enumerate() {
        let text = match is_encoded {
            // charset'language'text
            true if at == 0 => value.rsplit(|&b| b == b'\'').next().unwrap_or(value),
            _ => value,
        };
        whole.extend(match is_encoded {
            true => percent_decoded(text),
            false => text.to_vec(),
        });
    }
    names.insert(whole);
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16).map(|n| n as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                out.push(digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0));
                rest = tail;
            }
            _ => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str, body: &str) -> Vec<String> {
        let message = format!("{header}\n\n{body}");
        let found = of(message.as_bytes());
        let names = found.iter().flat_map(|one| &one.names);
        names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    #[test]
    fn every_name_that_a_program_may_see_counts() {
        let disposition = |value: &str| names(&format!("Content-Disposition: {value}"), "x");
        assert_eq!(disposition("attachment; filename=a.exe"), ["a.exe"]);
        assert_eq!(
            disposition("attachment;\n\tFileName=\"a b.exe\""),
            ["a b.exe"]
        );
        assert_eq!(
            disposition("attachment; filename*=utf-8''a%2eexe"),
            ["a.exe"]
        );
        assert_eq!(
            disposition("attachment; filename*1=exe; filename*0=\"a.\""),
            ["a.exe"]
        );
        assert!(
            disposition("attachment; filename=\"=?utf-8?b?YS5leGU=?=\"")
                .contains(&"a.exe".to_owned())
        );
        assert_eq!(
            names("Content-Type: text/plain; name=b.scr", "x"),
            ["b.scr"]
        );
        let two =
            "Content-Type: text/plain; name=a.txt\nContent-Disposition: inline; filename=a.exe";
        assert_eq!(names(two, "x"), ["a.exe", "a.txt"]);
        assert!(names("Subject: x", "x").is_empty());
    }

    #[test]
    fn a_program_is_known_by_its_content() {
        let part = "Content-Type: text/plain; name=a.txt\nContent-Transfer-Encoding: base64";
        assert_eq!(names(part, "TVqQAAMAAAAEAAAA"), ["a.txt", "program.exe"]);
    }

    #[test]
    fn parts_within_parts_are_found() {
        let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\
            text\n--b\nContent-Type: message/rfc822\n\nContent-Type: x/y; name=in.zip\n\n\
            inner\n--b--\n";
        let found = of(message.as_bytes());
        let contents: Vec<&[u8]> = found.iter().map(|one| &one.content[..]).collect();
        assert_eq!(contents, [&b"text"[..], b"inner"]);
        assert!(found[1].names.contains(&b"in.zip"[..]));
    }
}
