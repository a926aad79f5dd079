//! The values of the parameters: printable ASCII once they are parsed.

use std::fmt;

use text::xtext;

/// RFC 3461 §4.4.
const ENVELOPE_ID_BYTES_MAX: usize = 100;
/// RFC 3461 §4.2.
const ORIGINAL_BYTES_MAX: usize = 500;
/// Longest type of an address.
const KIND_BYTES_MAX: usize = 32;

/// How much of the message a report of failure repeats (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Return {
    /// All of it, as far as the site goes.
    Full,
    /// Its header.
    Headers,
}

/// When a recipient's sender wants a report (RFC 3461 §4.1); nothing set is
/// `NEVER`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// It was delivered.
    pub success: bool,
    /// It never will be.
    pub failure: bool,
    /// It takes long.
    pub delay: bool,
}

/// The sender's name for the envelope (RFC 3461 §4.4), decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeId(Vec<u8>);

/// The recipient as the sender wrote it (RFC 3461 §4.2), decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Original {
    kind: String,
    address: Vec<u8>,
}

impl Return {
    /// Reads the value of `RET`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match &value.to_ascii_uppercase()[..] {
            b"FULL" => Some(Self::Full),
            b"HDRS" => Some(Self::Headers),
            _ => None,
        }
    }
}

impl Notify {
    /// No report at all.
    pub const NEVER: Self = Self {
        success: false,
        failure: false,
        delay: false,
    };
    /// What holds when the sender says nothing.
    pub const DEFAULT: Self = Self {
        success: false,
        failure: true,
        delay: false,
    };

    /// Reads the value of `NOTIFY`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.eq_ignore_ascii_case(b"NEVER") {
            return Some(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in value.split(|&b| b == b',') {
            let wanted = match &word.to_ascii_uppercase()[..] {
                b"SUCCESS" => &mut notify.success,
                b"FAILURE" => &mut notify.failure,
                b"DELAY" => &mut notify.delay,
                _ => return None,
            };
            *wanted = true;
        }
        Some(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ];
        let words: Vec<&str> = words.iter().filter(|w| w.0).map(|w| w.1).collect();
        match words.is_empty() {
            true => f.write_str("NEVER"),
            false => f.write_str(&words.join(",")),
        }
    }
}

impl EnvelopeId {
    /// Reads the value of `ENVID`, which is xtext.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let id = xtext::decode(value)?;
        let fits = value.len() <= ENVELOPE_ID_BYTES_MAX && is_printable(&id);
        fits.then_some(Self(id))
    }

    /// Takes what somebody typed.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        Self::parse(&xtext::encode(text))
    }

    /// The name itself, printable.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Original {
    /// Reads the value of `ORCPT`: a type and an address in xtext, or in the
    /// forms of RFC 6533 §3 for the type `utf-8`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if ORIGINAL_BYTES_MAX < value.len() {
            return None;
        }
        let divider = value.iter().position(|&b| b == b';')?;
        let (kind, address) = (&value[..divider], &value[divider + 1..]);
        let is_atom = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        if kind.is_empty() || KIND_BYTES_MAX < kind.len() || !kind.iter().all(is_atom) {
            return None;
        }
        let kind = String::from_utf8_lossy(kind).into_owned();
        let address = match kind.eq_ignore_ascii_case("utf-8") {
            true => xtext::decode(&ascii_of_unicode(address)?)?,
            false => xtext::decode(address)?,
        };
        let fits = !address.is_empty() && is_printable(&address);
        fits.then_some(Self { kind, address })
    }

    /// The type of the address.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address, printable.
    pub fn address(&self) -> &[u8] {
        &self.address
    }

    pub(super) fn value(&self) -> Vec<u8> {
        [
            self.kind.as_bytes(),
            b";",
            &xtext::encode(&self.address)[..],
        ]
        .concat()
    }
}

fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|&b| b == b' ' || b.is_ascii_graphic())
}

/// RFC 6533 §3: characters beyond ASCII as `\x{HEX}`.
fn ascii_of_unicode(address: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(address).ok()?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => out += &format!("\\x{{{:X}}}", u32::from(c)),
        }
    }
    Some(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_are_not_values() {
        for bad in [
            &b""[..],
            b"rfc822",
            b"rfc822;",
            b";a@b",
            b"rfc822;a@b+0Ax: y",
            b"rfc822;a=b",
            b"rf c;a@b",
            b"rfc822;a@b\xff",
            b"utf-8;\xff",
        ] {
            assert_eq!(Original::parse(bad), None, "{bad:?}");
        }
        let long = [b"rfc822;", &[b'a'; 600][..]].concat();
        assert_eq!(Original::parse(&long), None);
        assert_eq!(EnvelopeId::parse(b"a+0D+0AX"), None);
        assert_eq!(EnvelopeId::parse(&[b'a'; 101]), None);
        for bad in [
            &b""[..],
            b"SUCCESS,NEVER",
            b"NEVER,",
            b"ALWAYS",
            b",SUCCESS",
        ] {
            assert_eq!(Notify::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Return::parse(b"BODY"), None);
    }

    #[test]
    fn an_international_original_is_kept_in_ascii() {
        let original = Original::parse("utf-8;bücher@b.example".as_bytes()).unwrap();
        assert_eq!(original.address(), b"b\\x{FC}cher@b.example");
        assert_eq!(Original::parse(&original.value()), Some(original));
    }
}
