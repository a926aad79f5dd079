//! The tree of MIME parts of a message, as ranges of its bytes
//! (RFC 2045, RFC 2046).
//!
//! BODYSTRUCTURE, sections and searches all use this one tree, so that a
//! client is never shown a structure whose parts it cannot fetch. A range is
//! split from the outside in: an outer boundary always wins over an inner one.
//! Both depth and number of parts are bounded; what lies deeper is a leaf.

use std::ops::Range;

use crate::header::{self, Token};

/// Deepest nesting of multiparts and messages.
pub const DEPTH_MAX: usize = 40;
/// Most parts of a message.
pub const PARTS_MAX: usize = 4_000;
/// Most parameters of a field.
pub const PARAMETERS_MAX: usize = 100;

/// A part: a header and a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// The header, the empty line included.
    pub header: Range<usize>,
    /// The body, without the line end that belongs to the next boundary.
    pub body: Range<usize>,
    /// What Content-Type says.
    pub content_type: ContentType,
    /// What is inside.
    pub kind: Kind,
}

/// What is inside a part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Anything but the other two.
    Leaf,
    /// At least one part.
    Multipart(Vec<Part>),
    /// A message, `message/rfc822`.
    Message(Box<Part>),
}

/// Parameters of a field: names and values.
pub type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

/// A media type with parameters, as they stand in the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContentType {
    /// Like `text`.
    pub media: Vec<u8>,
    /// Like `plain`.
    pub subtype: Vec<u8>,
    /// Names and values in order; RFC 2231 pieces stay pieces.
    pub parameters: Parameters,
}

impl ContentType {
    /// Parses the value of Content-Type; `None` when it is none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (kind, parameters) = with_parameters(value);
        let slash = memchr::memchr(b'/', &kind)?;
        let (media, subtype) = (kind[..slash].trim_ascii(), kind[slash + 1..].trim_ascii());
        if media.is_empty() || subtype.is_empty() {
            return None;
        }
        Some(Self {
            media: media.to_vec(),
            subtype: subtype.to_vec(),
            parameters,
        })
    }

    /// Says whether this is a media type, in any case.
    pub fn is(&self, media: &str, subtype: &str) -> bool {
        self.is_media(media) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Says whether the first half of the media type is this.
    pub fn is_media(&self, media: &str) -> bool {
        self.media.eq_ignore_ascii_case(media.as_bytes())
    }

    /// A parameter by name, in any case.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// What a part is when nothing says otherwise (RFC 2045 §5.2).
    pub fn plain() -> Self {
        Self {
            media: b"text".to_vec(),
            subtype: b"plain".to_vec(),
            parameters: vec![(b"charset".to_vec(), b"us-ascii".to_vec())],
        }
    }

    fn message() -> Self {
        Self {
            media: b"message".to_vec(),
            subtype: b"rfc822".to_vec(),
            parameters: Vec::new(),
        }
    }
}

/// Splits `value; name=value; ...`.
pub fn with_parameters(value: &[u8]) -> (Vec<u8>, Parameters) {
    let mut main = Vec::new();
    let mut parameters = Parameters::new();
    let (mut name, mut text, mut in_value) = (Vec::new(), Vec::new(), false);
    let mut first = true;
    let tokens = header::tokens(value, b";=");
    for token in tokens.into_iter().chain([Token::Special(b';')]) {
        match token {
            Token::Special(b';') => {
                if first {
                    main = std::mem::take(&mut text);
                    first = false;
                } else if in_value && !name.is_empty() && parameters.len() < PARAMETERS_MAX {
                    parameters.push((std::mem::take(&mut name), std::mem::take(&mut text)));
                }
                name.clear();
                text.clear();
                in_value = false;
            }
            Token::Special(b'=') if !first && !in_value => {
                name = std::mem::take(&mut text);
                in_value = true;
            }
            Token::Special(b) => text.push(b),
            Token::Atom(word) | Token::Quoted(word) | Token::Literal(word) => text.extend(word),
            Token::Comment(_) => {}
        }
    }
    (main, parameters)
}

/// Takes a message apart.
pub fn parse(message: &[u8]) -> Part {
    let mut left = PARTS_MAX;
    Splitter { message }.part(0..message.len(), &ContentType::plain(), 0, &mut left)
}

struct Splitter<'a> {
    message: &'a [u8],
}

impl Splitter<'_> {
    fn part(
        &self,
        range: Range<usize>,
        default: &ContentType,
        depth: usize,
        left: &mut usize,
    ) -> Part {
        *left = left.saturating_sub(1);
        let text = &self.message[range.clone()];
        let split = range.start + header::header_end(text);
        let header = range.start..split;
        let body = split..range.end;
        let declared = header::value(&self.message[header.clone()], "Content-Type");
        let content_type = match declared {
            None => default.clone(),
            // RFC 2045 §5.2: what nobody understands is plain text.
            Some(value) => ContentType::parse(&value).unwrap_or_else(ContentType::plain),
        };
        let deeper = depth < DEPTH_MAX && 0 < *left;
        let kind = if content_type.is_media("multipart") && deeper {
            self.multipart(&content_type, body.clone(), depth, left)
        } else if content_type.is("message", "rfc822") && deeper && self.is_plain(&header) {
            let inner = self.part(body.clone(), &ContentType::plain(), depth + 1, left);
            Kind::Message(Box::new(inner))
        } else {
            Kind::Leaf
        };
        Part {
            header,
            body,
            content_type,
            kind,
        }
    }

    /// A message in base64 would need other bytes than those of the message;
    /// RFC 2046 §5.2.1 forbids it, and we show it as the file it is.
    fn is_plain(&self, header: &Range<usize>) -> bool {
        let encoding = header::value(&self.message[header.clone()], "Content-Transfer-Encoding");
        !encoding.is_some_and(|encoding| {
            encoding.eq_ignore_ascii_case(b"base64")
                || encoding.eq_ignore_ascii_case(b"quoted-printable")
        })
    }

    fn multipart(
        &self,
        content_type: &ContentType,
        body: Range<usize>,
        depth: usize,
        left: &mut usize,
    ) -> Kind {
        let boundary = content_type.parameter("boundary").unwrap_or_default();
        let default = if content_type.is("multipart", "digest") {
            ContentType::message()
        } else {
            ContentType::plain()
        };
        let mut ranges = self.split(body.clone(), boundary, *left);
        if ranges.is_empty() {
            // No boundary: nothing of the body may be hidden, so all of it is
            // the one part there is, and has no header.
            let part = Part {
                header: body.start..body.start,
                body,
                content_type: ContentType::plain(),
                kind: Kind::Leaf,
            };
            return Kind::Multipart(vec![part]);
        }
        let parts = ranges
            .drain(..)
            .map(|range| self.part(range, &default, depth + 1, left))
            .collect();
        Kind::Multipart(parts)
    }

    /// The ranges between the boundaries; at most `max`, the last of which
    /// then holds the rest.
    fn split(&self, body: Range<usize>, boundary: &[u8], max: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        if boundary.is_empty() {
            return ranges;
        }
        let text = &self.message[..body.end];
        let mut begin: Option<usize> = None;
        let mut start = body.start;
        while start < body.end {
            let end = header::line_end(text, start);
            let found = delimiter(&text[start..end], boundary);
            if let Some(delimiter) = found
                && !(ranges.len() + 1 == max && begin.is_some())
            {
                if let Some(begin) = begin {
                    ranges.push(begin..before_line_end(text, begin, start));
                }
                begin = Some(end);
                if delimiter == Delimiter::Close {
                    return ranges;
                }
            }
            start = end;
        }
        // The closing boundary is missing: the last part goes to the end.
        ranges.extend(begin.map(|begin| begin..body.end));
        ranges
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Delimiter {
    Open,
    Close,
}

/// RFC 2046 §5.1.1: `--`, the boundary, perhaps `--`, then only white space.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    if rest.trim_ascii().is_empty() {
        return Some(Delimiter::Open);
    }
    let rest = rest.strip_prefix(b"--")?;
    rest.trim_ascii().is_empty().then_some(Delimiter::Close)
}

/// The line end before a boundary belongs to the boundary.
fn before_line_end(text: &[u8], begin: usize, boundary: usize) -> usize {
    let part = &text[begin..boundary];
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    let part = part.strip_suffix(b"\r").unwrap_or(part);
    begin + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(part: &Part) -> String {
        let media = String::from_utf8_lossy(&part.content_type.media).into_owned();
        match &part.kind {
            Kind::Leaf => media,
            Kind::Multipart(parts) => {
                format!(
                    "({})",
                    parts.iter().map(shape).collect::<Vec<_>>().join(" ")
                )
            }
            Kind::Message(inner) => format!("[{}]", shape(inner)),
        }
    }

    #[test]
    fn the_outer_boundary_wins() {
        let message = b"Content-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n--a\r\n\
            Content-Type: multipart/alternative; boundary=ab\r\n\r\n--ab\r\n\r\none\r\n--a\r\n\
            Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody\r\n--a--\r\n--a\r\nafter";
        let part = parse(message);
        assert_eq!(shape(&part), "((text) [text])");
        let Kind::Multipart(parts) = &part.kind else {
            panic!("multipart")
        };
        let Kind::Multipart(inner) = &parts[0].kind else {
            panic!("multipart")
        };
        assert_eq!(&message[inner[0].body.clone()], b"one");
        let Kind::Message(inner) = &parts[1].kind else {
            panic!("message")
        };
        assert_eq!(&message[inner.body.clone()], b"body");
    }

    #[test]
    fn nothing_of_a_multipart_without_boundary_is_hidden() {
        for head in [
            "multipart/mixed",
            "multipart/mixed; boundary=x",
            "multipart/mixed; boundary",
        ] {
            let message = format!("Content-Type: {head}\r\n\r\nall of it");
            let Kind::Multipart(parts) = parse(message.as_bytes()).kind else {
                panic!("multipart")
            };
            assert_eq!(&message[parts[0].body.clone()], "all of it");
        }
    }

    #[test]
    fn depth_and_parts_are_bounded() {
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
        let mut part = &parse(deep.as_bytes());
        let mut depth = 0;
        while let Kind::Message(inner) = &part.kind {
            (part, depth) = (inner, depth + 1);
        }
        assert_eq!(depth, DEPTH_MAX);
        let wide = format!(
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n{}",
            "--a\r\n\r\nx\r\n".repeat(100_000)
        );
        let Kind::Multipart(parts) = parse(wide.as_bytes()).kind else {
            panic!("multipart")
        };
        assert!(parts.len() <= PARTS_MAX);
        assert_eq!(parts.last().unwrap().body.end, wide.len());
    }

    #[test]
    fn parameters_are_kept_as_they_stand() {
        let parsed =
            ContentType::parse(b"Text/HTML; Charset=\"utf-8\"; (c) name*0=a; bad; x=").unwrap();
        assert!(parsed.is("text", "html"));
        assert_eq!(parsed.parameter("charset"), Some(&b"utf-8"[..]));
        assert_eq!(parsed.parameter("NAME*0"), Some(&b"a"[..]));
        assert_eq!(parsed.parameter("bad"), None);
        assert!(ContentType::parse(b"nonsense").is_none());
    }

    #[test]
    fn ranges_stay_inside_their_parent() {
        fn check(part: &Part, within: &Range<usize>) {
            for range in [&part.header, &part.body] {
                assert!(
                    within.start <= range.start
                        && range.start <= range.end
                        && range.end <= within.end
                );
            }
            match &part.kind {
                Kind::Leaf => {}
                Kind::Multipart(parts) => {
                    assert!(!parts.is_empty());
                    parts.iter().for_each(|inner| check(inner, &part.body));
                }
                Kind::Message(inner) => check(inner, &part.body),
            }
        }
        property::holds(|u| {
            let pieces = [
                "Content-Type: multipart/mixed; boundary=a\r\n",
                "Content-Type: message/rfc822\r\n",
                "\r\n",
                "--a\r\n",
                "--a--\r\n",
                "--b\n",
                "x",
                "\n",
                "Content-Type: multipart/digest; boundary=\"b\"\n",
            ];
            let mut message = String::new();
            for _ in 0..u.int_in_range(0..=40u8)? {
                message.push_str(u.choose(&pieces)?);
            }
            check(&parse(message.as_bytes()), &(0..message.len()));
            Ok(())
        });
    }
}
