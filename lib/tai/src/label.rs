//! TAI64N labels: `@` and 24 hexadecimal digits (operations.md §1.8).

use std::fmt;

use crate::UnixTime;

/// What the label of Unix second 0 says. The 10 is fixed: labels ignore leap
/// seconds, so that they agree with every log already written.
const EPOCH: u64 = (1 << 62) + 10;

/// Length of a label in text: the `@` and 24 digits.
const LABEL_BYTES: usize = 25;

/// The TAI64N label of a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label(pub UnixTime);

/// The text is not a TAI64N label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LabelError;

impl Label {
    /// Parses the label at the start of a line.
    pub fn parse(line: &[u8]) -> Result<Self, LabelError> {
        let text = line.get(..LABEL_BYTES).ok_or(LabelError)?;
        let (at, digits) = text.split_first().ok_or(LabelError)?;
        if *at != b'@' || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(LabelError);
        }
        let digits = std::str::from_utf8(digits).map_err(|_| LabelError)?;
        let seconds = u64::from_str_radix(&digits[..16], 16).map_err(|_| LabelError)?;
        let nanoseconds = u32::from_str_radix(&digits[16..], 16).map_err(|_| LabelError)?;
        Ok(Self(UnixTime {
            seconds: seconds.wrapping_sub(EPOCH) as i64,
            nanoseconds,
        }))
    }

    /// The eight bytes of TAI64 and four of nanoseconds, big-endian, as
    /// `supervise/status` holds them.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&(self.0.seconds as u64).wrapping_add(EPOCH).to_be_bytes());
        bytes[8..].copy_from_slice(&self.0.nanoseconds.to_be_bytes());
        bytes
    }

    /// The inverse of [`Label::to_bytes`].
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, n0, n1, n2, n3] = bytes;
        let seconds = u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_sub(EPOCH) as i64;
        Self(UnixTime {
            seconds,
            nanoseconds: u32::from_be_bytes([n0, n1, n2, n3]),
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0.seconds as u64).wrapping_add(EPOCH);
        write!(f, "@{seconds:016x}{:08x}", self.0.nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_label_of_the_guide() {
        let time = UnixTime {
            seconds: 952_364_710,
            nanoseconds: 670_309_500,
        };
        assert_eq!(Label(time).to_string(), "@4000000038c3eeb027f41c7c");
        assert_eq!(
            Label::parse(b"@4000000038c3eeb027f41c7c status: x"),
            Ok(Label(time))
        );
        assert_eq!(Label::from_bytes(Label(time).to_bytes()), Label(time));
    }

    #[test]
    fn a_short_or_foreign_label_is_refused() {
        assert_eq!(Label::parse(b"@4000000038c3eeb027f41c7"), Err(LabelError));
        assert_eq!(Label::parse(b"@4000000038c3eeb027f41c7g"), Err(LabelError));
        assert_eq!(Label::parse(b""), Err(LabelError));
    }

    #[test]
    fn every_time_comes_back_from_text_and_from_bytes() {
        property::holds(|u| {
            let label = Label(UnixTime {
                seconds: u.arbitrary()?,
                nanoseconds: u.int_in_range(0..=999_999_999)?,
            });
            assert_eq!(Label::parse(label.to_string().as_bytes()), Ok(label));
            assert_eq!(Label::from_bytes(label.to_bytes()), label);
            Ok(())
        });
    }
}
