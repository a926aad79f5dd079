//! Addresses of an envelope.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest address qmail-queue takes, without its NUL
/// (queue-and-delivery.md §3.1.1).
pub const ADDRESS_BYTES_MAX: usize = 1002;

/// Why bytes are not an address of an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// More than [`ADDRESS_BYTES_MAX`] bytes.
    #[error("address too long")]
    TooLong,
    /// NUL, CR, LF or another control byte.
    #[error("control character in address")]
    Control,
    /// A recipient must not be empty.
    #[error("empty address")]
    Empty,
}

/// An address: no control bytes, at most [`ADDRESS_BYTES_MAX`] long, the
/// local part without quotes. It may lack a domain.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Address(Vec<u8>);

impl Address {
    /// Checks bytes that came from outside.
    pub fn parse(bytes: &[u8]) -> Result<Self, AddressError> {
        if ADDRESS_BYTES_MAX < bytes.len() {
            return Err(AddressError::TooLong);
        }
        if bytes.iter().any(|b| b.is_ascii_control()) {
            return Err(AddressError::Control);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Says whether this is the null address `<>`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The local part and the domain, cut at the last `@`; the domain is
    /// `None` when there is no `@`.
    pub fn split(&self) -> (&[u8], Option<&[u8]>) {
        match self.0.iter().rposition(|&b| b == b'@') {
            Some(at) => (&self.0[..at], Some(&self.0[at + 1..])),
            None => (&self.0, None),
        }
    }

    /// The part before the last `@`.
    pub fn local(&self) -> &[u8] {
        self.split().0
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> Option<&[u8]> {
        self.split().1
    }
}

impl TryFrom<Vec<u8>> for Address {
    type Error = AddressError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, AddressError> {
        Self::parse(&bytes)
    }
}

impl From<Address> for Vec<u8> {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The envelope sender: an address, or nothing for notifications.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ReversePath(pub Address);

/// An envelope recipient: an address that is not empty.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ForwardPath(Address);

impl ForwardPath {
    /// Checks bytes that came from outside.
    pub fn parse(bytes: &[u8]) -> Result<Self, AddressError> {
        match Address::parse(bytes)? {
            address if address.is_empty() => Err(AddressError::Empty),
            address => Ok(Self(address)),
        }
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_sign_divides() {
        let address = Address::parse(b"a@b@example.org").unwrap();
        assert_eq!(address.split(), (&b"a@b"[..], Some(&b"example.org"[..])));
        assert_eq!(
            Address::parse(b"root").unwrap().split(),
            (&b"root"[..], None)
        );
    }

    #[test]
    fn nothing_that_ends_a_line_or_record_gets_in() {
        assert_eq!(Address::parse(b"a\nb@c"), Err(AddressError::Control));
        assert_eq!(Address::parse(b"a\0b@c"), Err(AddressError::Control));
        assert_eq!(Address::parse(&[b'a'; 1003]), Err(AddressError::TooLong));
        assert_eq!(ForwardPath::parse(b""), Err(AddressError::Empty));
    }
}
