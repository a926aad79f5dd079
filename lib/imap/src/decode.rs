//! What a message says, as text that can be compared: encodings and
//! character sets undone, case folded.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, HeaderValue};

use crate::date::Day;
use crate::header;
use crate::mime::Part;

/// Most of a header field that is decoded.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Most of a part's body that is decoded.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Makes text comparable: case does not matter, nor how much white space.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    if blank {
        out.push(' ');
    }
    out
}

/// A header field's value with its encoded words decoded (RFC 2047).
pub fn field_text(value: &[u8]) -> String {
    let mut value = header::unfold(&value[..value.len().min(FIELD_BYTES_MAX)]);
    value.push(b'\n');
    match MessageStream::new(&value).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// The text of a leaf part; `None` when it is not text.
pub fn body_text(message: &[u8], part: &Part) -> Option<String> {
    if !part.content_type.is_media("text") {
        return None;
    }
    let body = &message[part.body.clone()];
    let body = &body[..body.len().min(BODY_BYTES_MAX)];
    let header = &message[part.header.clone()];
    let encoding = header::value(header, "Content-Transfer-Encoding").unwrap_or_default();
    let bytes: Cow<'_, [u8]> = match encoding.to_ascii_lowercase().as_slice() {
        b"base64" => base64_decode(body).map_or(body.into(), Cow::Owned),
        b"quoted-printable" => quoted_printable_decode(body).map_or(body.into(), Cow::Owned),
        _ => body.into(),
    };
    let decoder = part
        .content_type
        .parameter("charset")
        .and_then(charset_decoder);
    Some(match decoder {
        Some(decoder) => decoder(&bytes),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// When the Date field says a message was written: the day as written, which
/// is what SENTON compares, and Unix seconds.
pub fn sent(header: &[u8]) -> Option<(Day, i64)> {
    let value = header::value(header, "Date")?;
    let date = DateTime::parse_rfc822(&format!("{}\n", String::from_utf8_lossy(&value)))?;
    let day = Day::of_civil(i64::from(date.year), date.month, date.day)?;
    let of_day = i64::from(date.hour) * 3600 + i64::from(date.minute) * 60 + i64::from(date.second);
    let zone = i64::from(date.tz_hour) * 3600 + i64::from(date.tz_minute) * 60;
    let zone = if date.tz_before_gmt { -zone } else { zone };
    Some((day, day.0 * 86_400 + of_day - zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime;

    #[test]
    fn encoded_words_are_read() {
        assert_eq!(
            field_text(b" =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?iso-8859-1?b?/A==?="),
            "Grüßeü"
        );
        assert_eq!(field_text(b"plain text"), "plain text");
        assert_eq!(field_text(b"=?=?=?=?"), "=?=?=?=?");
        assert_eq!(fold("Grüße\r\n  AN"), "grüße an");
    }

    #[test]
    fn bodies_are_decoded() {
        let decoded =
            |message: &str| body_text(message.as_bytes(), &mime::parse(message.as_bytes()));
        assert_eq!(
            decoded("Content-Transfer-Encoding: BASE64\r\n\r\naGVs\r\nbG8=\r\n").as_deref(),
            Some("hello")
        );
        assert_eq!(
            decoded(
                "Content-Type: text/plain; charset=iso-8859-1\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC=\r\nx"
            )
            .as_deref(),
            Some("üx")
        );
        assert_eq!(decoded("Content-Type: image/png\r\n\r\nx"), None);
    }

    #[test]
    fn dates_are_taken_as_written() {
        let (day, seconds) = sent(b"Date: Wed, 17 Jul 1996 23:23:25 -0700 (PDT)\r\n").unwrap();
        assert_eq!(Some(day), Day::parse(b"17-Jul-1996"));
        assert_eq!(seconds, 837_671_005);
        assert_eq!(sent(b"Date: nonsense\r\n"), None);
        assert_eq!(sent(b"Date: 0 Foo 0\r\n"), None);
    }
}
