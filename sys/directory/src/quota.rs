//! Quota text (virtual-domains.md §5.3).

use std::fmt;

/// Limits of a mailbox; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// The text is not a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("quota is NOQUOTA, or bytes like 10M, or bytes and messages like 10000000S,1000C")]
pub struct BadQuota;

impl Quota {
    /// Reads a quota text. 0 means no limit, for each half by itself.
    pub fn parse(text: &str) -> Result<Self, BadQuota> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("NOQUOTA") {
            return Ok(Self::default());
        }
        let (size, count) = match text.split_once(',') {
            Some((size, count)) => (size, Some(count)),
            None => (text, None),
        };
        let size = size.strip_suffix(['S', 's']).unwrap_or(size);
        let bytes = amount(size)?;
        let messages = match count {
            Some(count) => number(count.strip_suffix(['C', 'c']).unwrap_or(count))?,
            None => 0,
        };
        let limit = |value| (value != 0).then_some(value);
        Ok(Self {
            bytes: limit(bytes),
            messages: limit(messages),
        })
    }
}

/// Decimal bytes, with `S` when a count follows.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bytes, self.messages) {
            (None, None) => f.write_str("NOQUOTA"),
            (Some(bytes), None) => write!(f, "{bytes}"),
            (bytes, Some(messages)) => write!(f, "{}S,{messages}C", bytes.unwrap_or(0)),
        }
    }
}

/// A number and `k`, `M` or `G`.
fn amount(text: &str) -> Result<u64, BadQuota> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(unit).ok_or(BadQuota)
}

/// A number with the prefixes of C: `0x`, `0`, or none.
fn number(text: &str) -> Result<u64, BadQuota> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    if digits.starts_with('+') {
        return Err(BadQuota);
    }
    u64::from_str_radix(digits, base).map_err(|_| BadQuota)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(bytes: u64, messages: u64) -> Quota {
        let limit = |value| (value != 0).then_some(value);
        Quota {
            bytes: limit(bytes),
            messages: limit(messages),
        }
    }

    #[test]
    fn every_written_form_is_read() {
        for (text, expected) in [
            ("NOQUOTA", quota(0, 0)),
            ("0", quota(0, 0)),
            ("0S", quota(0, 0)),
            ("0S,10C", quota(0, 10)),
            ("5242880", quota(5_242_880, 0)),
            ("10000000S,1000C", quota(10_000_000, 1000)),
            ("10M", quota(10 << 20, 0)),
            ("2kS,5C", quota(2048, 5)),
            ("0x10", quota(16, 0)),
            ("010", quota(8, 0)),
        ] {
            assert_eq!(Quota::parse(text), Ok(expected), "{text}");
        }
        for text in [
            "much",
            "1T",
            "-1",
            "+1",
            "1,2,3",
            "99999999999999999999",
            "1:2",
        ] {
            assert_eq!(Quota::parse(text), Err(BadQuota), "{text}");
        }
    }

    #[test]
    fn a_letter_after_the_comma_does_not_change_the_bytes() {
        assert!(Quota::parse("1000S,5k").is_err());
        assert_eq!(Quota::parse("1000S,5C").unwrap().bytes, Some(1000));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        property::holds(|u| {
            let value = quota(u.arbitrary()?, u.arbitrary()?);
            assert_eq!(Quota::parse(&value.to_string()), Ok(value));
            Ok(())
        });
    }
}
