//! Domain names.

use std::fmt;

/// A domain name: lower case A-labels, no final dot, at most 253 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Domain(String);

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DomainError {
    /// More than 253 bytes, or a label of more than 63.
    #[error("domain name too long")]
    TooLong,
    /// Nothing between two dots, or nothing at all.
    #[error("empty label in domain name")]
    EmptyLabel,
    /// A byte that no host name has, or a hyphen at the end of a label.
    #[error("bad character in domain name")]
    Character,
}

impl Domain {
    /// Parses what a peer or a control file says (RFC 1035 §2.3.4);
    /// international names become A-labels (RFC 5891).
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let name = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::Character)?
        };
        if 253 < name.len() {
            return Err(DomainError::TooLong);
        }
        for label in name.split('.') {
            match label.as_bytes() {
                [] => return Err(DomainError::EmptyLabel),
                label if 63 < label.len() => return Err(DomainError::TooLong),
                [b'-', ..] | [.., b'-'] => return Err(DomainError::Character),
                label if !label.iter().all(|&b| is_host_byte(b)) => {
                    return Err(DomainError::Character);
                }
                _ => {}
            }
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name itself, then what follows each of its dots with the dot:
    /// `a.b.c`, `.b.c`, `.c` — the order in which control files are asked.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        let dots = self.0.match_indices('.').map(|(at, _)| &self.0[at..]);
        std::iter::once(self.as_str()).chain(dots)
    }
}

/// Letters, digits and hyphen; the underscore is tolerated, names have it.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_checked() {
        assert_eq!(
            Domain::parse("Example.ORG.").unwrap().as_str(),
            "example.org"
        );
        assert_eq!(
            Domain::parse("bücher.example").unwrap().as_str(),
            "xn--bcher-kva.example"
        );
        assert_eq!(Domain::parse("a..b"), Err(DomainError::EmptyLabel));
        assert_eq!(Domain::parse("-a.b"), Err(DomainError::Character));
        assert_eq!(Domain::parse("a/../b"), Err(DomainError::Character));
        assert_eq!(Domain::parse("a/b"), Err(DomainError::Character));
        assert_eq!(Domain::parse(&"a".repeat(64)), Err(DomainError::TooLong));
    }

    #[test]
    fn suffixes_go_from_long_to_short() {
        let domain = Domain::parse("a.b.c").unwrap();
        assert_eq!(
            domain.suffixes().collect::<Vec<_>>(),
            ["a.b.c", ".b.c", ".c"]
        );
    }
}
