//! ENVELOPE and BODYSTRUCTURE (RFC 3501 §7.4.2).

use crate::address;
use crate::header;
use crate::mime::{Kind, Part, with_parameters};
use crate::write;

/// BODY or BODYSTRUCTURE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// BODY: no extension data.
    Basic,
    /// BODYSTRUCTURE.
    Extended,
}

/// Appends the envelope of a header.
pub fn write_envelope(out: &mut Vec<u8>, header: &[u8]) {
    const NAMES: [&str; 10] = [
        "Date",
        "Subject",
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "In-Reply-To",
        "Message-ID",
    ];
    // One pass over the header, the first field of each name counts.
    let mut values: [Option<Vec<u8>>; 10] = Default::default();
    for field in header::fields(header) {
        let known = NAMES
            .iter()
            .position(|name| field.name.eq_ignore_ascii_case(name.as_bytes()));
        if let Some(at) = known
            && values[at].is_none()
        {
            values[at] = Some(header::unfold(field.value));
        }
    }
    let [
        date,
        subject,
        from,
        sender,
        reply_to,
        to,
        cc,
        bcc,
        in_reply_to,
        message_id,
    ] = values;
    let addresses = |value: Option<Vec<u8>>| address::parse(&value.unwrap_or_default());
    let from = addresses(from);
    // "If not present or empty, the same as From."
    let or_from = |value: Option<Vec<u8>>| match addresses(value) {
        list if list.is_empty() => from.clone(),
        list => list,
    };
    out.push(b'(');
    write::nstring(out, date.as_deref());
    out.push(b' ');
    write::nstring(out, subject.as_deref());
    let lists = [
        from.clone(),
        or_from(sender),
        or_from(reply_to),
        addresses(to),
        addresses(cc),
        addresses(bcc),
    ];
    for list in lists {
        out.push(b' ');
        address::write_list(out, &list);
    }
    for value in [in_reply_to, message_id] {
        out.push(b' ');
        write::nstring(out, value.as_deref());
    }
    out.push(b')');
}

/// Appends the structure of a message.
pub fn write_structure(out: &mut Vec<u8>, message: &[u8], part: &Part, detail: Detail) {
    let fields = Fields::of(&message[part.header.clone()]);
    out.push(b'(');
    match &part.kind {
        Kind::Multipart(parts) => {
            for inner in parts {
                write_structure(out, message, inner, detail);
            }
            out.push(b' ');
            write::string(out, &part.content_type.subtype);
            if detail == Detail::Extended {
                out.push(b' ');
                write_parameters(out, &part.content_type.parameters);
                write_extension(out, &fields);
            }
        }
        Kind::Leaf | Kind::Message(_) => write_single(out, message, part, &fields, detail),
    }
    out.push(b')');
}

fn write_single(out: &mut Vec<u8>, message: &[u8], part: &Part, fields: &Fields, detail: Detail) {
    let body = &message[part.body.clone()];
    let kind = &part.content_type;
    // What is too deep or encoded is a file; its type would promise fields
    // that are not there.
    let hidden =
        part.kind == Kind::Leaf && (kind.is_media("multipart") || kind.is("message", "rfc822"));
    if hidden {
        out.extend_from_slice(b"\"application\" \"octet-stream\"");
    } else {
        write::string(out, &kind.media);
        out.push(b' ');
        write::string(out, &kind.subtype);
    }
    out.push(b' ');
    write_parameters(out, &kind.parameters);
    for value in [&fields.id, &fields.description] {
        out.push(b' ');
        write::nstring(out, value.as_deref());
    }
    out.push(b' ');
    write::string(out, fields.encoding.as_deref().unwrap_or(b"7bit"));
    out.extend_from_slice(format!(" {}", body.len()).as_bytes());
    let lines = memchr::memchr_iter(b'\n', body).count();
    if let Kind::Message(inner) = &part.kind {
        out.push(b' ');
        write_envelope(out, &message[inner.header.clone()]);
        out.push(b' ');
        write_structure(out, message, inner, detail);
        out.extend_from_slice(format!(" {lines}").as_bytes());
    } else if kind.is_media("text") {
        out.extend_from_slice(format!(" {lines}").as_bytes());
    }
    if detail == Detail::Extended {
        out.push(b' ');
        write::nstring(out, fields.md5.as_deref());
        write_extension(out, fields);
    }
}

/// Disposition, language, location.
fn write_extension(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b' ');
    match &fields.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some(value) => {
            let (kind, parameters) = with_parameters(value);
            out.push(b'(');
            write::string(out, &kind);
            out.push(b' ');
            write_parameters(out, &parameters);
            out.push(b')');
        }
    }
    out.push(b' ');
    write::nstring(out, fields.language.as_deref());
    out.push(b' ');
    write::nstring(out, fields.location.as_deref());
}

fn write_parameters(out: &mut Vec<u8>, parameters: &[(Vec<u8>, Vec<u8>)]) {
    if parameters.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        write::string(out, name);
        out.push(b' ');
        write::string(out, value);
    }
    out.push(b')');
}

/// The fields of a part that its structure shows.
#[derive(Default)]
struct Fields {
    id: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    encoding: Option<Vec<u8>>,
    md5: Option<Vec<u8>>,
    disposition: Option<Vec<u8>>,
    language: Option<Vec<u8>>,
    location: Option<Vec<u8>>,
}

impl Fields {
    fn of(header: &[u8]) -> Self {
        let mut found = Self::default();
        for field in header::fields(header) {
            let place = match field.name.to_ascii_lowercase().as_slice() {
                b"content-id" => &mut found.id,
                b"content-description" => &mut found.description,
                b"content-transfer-encoding" => &mut found.encoding,
                b"content-md5" => &mut found.md5,
                b"content-disposition" => &mut found.disposition,
                b"content-language" => &mut found.language,
                b"content-location" => &mut found.location,
                _ => continue,
            };
            if place.is_none() {
                let value = header::unfold(field.value);
                *place = (!value.is_empty()).then_some(value);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime;

    fn structure(message: &str, detail: Detail) -> String {
        let mut out = Vec::new();
        write_structure(
            &mut out,
            message.as_bytes(),
            &mime::parse(message.as_bytes()),
            detail,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_envelope_of_a_usual_message() {
        let mut out = Vec::new();
        write_envelope(
            &mut out,
            b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.example>\r\n\
              Subject: IMAP4rev1 WG mtg\r\n summary\r\nTo: imap@cac.example\r\n\
              cc: minutes@CNRI.example, \"J, K\" <k@x>\r\nMessage-ID: <B27397@cac.example>\r\n\r\n",
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.example\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.example\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.example\")) \
             ((NIL NIL \"imap\" \"cac.example\")) \
             ((NIL NIL \"minutes\" \"CNRI.example\")(\"J, K\" NIL \"k\" \"x\")) \
             NIL NIL \"<B27397@cac.example>\")"
        );
    }

    const NESTED: &str = "From: a@x\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\n\
        --o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n\
        --i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<b>\r\n</b>\r\n--i--\r\n\
        --o\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"m.eml\"\r\n\r\n\
        Subject: inner\r\nFrom: b@y\r\n\r\nhello\r\n\
        --o\r\nContent-Type: image/png\r\nContent-ID: <1@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--o--\r\n";

    #[test]
    fn the_structure_of_nested_parts() {
        assert_eq!(
            structure(NESTED, Detail::Basic),
            "(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 0)\
             (\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"quoted-printable\" 9 1) \"alternative\")\
             (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 34 \
             (NIL \"inner\" ((NIL NIL \"b\" \"y\")) ((NIL NIL \"b\" \"y\")) ((NIL NIL \"b\" \"y\")) NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 0) 3)\
             (\"image\" \"png\" NIL \"<1@x>\" NIL \"base64\" 4) \"mixed\")"
        );
        let extended = structure(NESTED, Detail::Extended);
        assert!(extended.contains("NIL (\"attachment\" (\"filename\" \"m.eml\")) NIL NIL)"));
        assert!(extended.ends_with("\"mixed\" (\"boundary\" \"o\") NIL NIL NIL)"));
        assert!(extended.contains("\"alternative\" (\"boundary\" \"i\") NIL NIL NIL)"));
    }

    #[test]
    fn no_mime_at_all_is_plain_text() {
        assert_eq!(
            structure("Subject: x\r\n\r\na\r\nb\r\n", Detail::Extended),
            "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 2 NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn what_is_encoded_inside_is_shown_as_a_file() {
        let message =
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA";
        assert_eq!(
            structure(message, Detail::Basic),
            "(\"application\" \"octet-stream\" NIL NIL NIL \"base64\" 4)"
        );
    }
}
