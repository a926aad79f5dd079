//! Frames: a 32-bit big-endian length, a version byte, a value.
//!
//! The length counts the version byte and the value.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame; a longer length is refused before its content arrives.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

const LENGTH_BYTES: usize = 4;

/// Why a frame cannot be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`], or empty.
    #[error("frame of {0} bytes is outside the limits")]
    Length(usize),
    /// The other side speaks another version.
    #[error("peer speaks version {found}, we speak {expected}")]
    Version {
        /// What arrived.
        found: u8,
        /// What this program was built with.
        expected: u8,
    },
    /// The bytes are not the value they should be.
    #[error("frame malformed: {0}")]
    Malformed(String),
}

/// Encodes one value as a frame.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; LENGTH_BYTES];
    out.push(version);
    let mut out = postcard::to_extend(value, out)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    let length = out.len() - LENGTH_BYTES;
    if FRAME_BYTES_MAX < length {
        return Err(FrameError::Length(length));
    }
    out[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(out)
}

/// Collects bytes and hands out the values of complete frames.
#[derive(Debug, Default)]
pub struct Decoder {
    input: Vec<u8>,
    used: usize,
}

impl Decoder {
    /// Takes bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        if 0 < self.used {
            self.input.drain(..self.used);
            self.used = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The next complete value, `None` when more bytes are needed. After an
    /// error the connection is of no use any more.
    pub fn next<T: DeserializeOwned>(&mut self, version: u8) -> Result<Option<T>, FrameError> {
        let rest = &self.input[self.used..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || FRAME_BYTES_MAX < length {
            return Err(FrameError::Length(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        if body[0] != version {
            return Err(FrameError::Version {
                found: body[0],
                expected: version,
            });
        }
        let value = postcard::from_bytes(&body[1..])
            .map_err(|error| FrameError::Malformed(error.to_string()))?;
        self.used += LENGTH_BYTES + length;
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        property::holds(|u| {
            let values =
                property::several(u, |u| Ok((u.arbitrary::<u32>()?, property::bytes(u)?)))?;
            let wire: Vec<u8> = values.iter().flat_map(|v| encode(1, v).unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut seen: Vec<(u32, Vec<u8>)> = Vec::new();
            for piece in wire.chunks(usize::from(u.int_in_range(1..=9u8)?)) {
                decoder.push(piece);
                while let Some(value) = decoder.next(1).unwrap() {
                    seen.push(value);
                }
            }
            assert_eq!(seen, values);
            Ok(())
        });
    }

    #[test]
    fn foreign_bytes_are_refused_early() {
        let mut decoder = Decoder::default();
        decoder.push(&[0xff; 5]);
        assert!(matches!(decoder.next::<u8>(1), Err(FrameError::Length(_))));
        let mut decoder = Decoder::default();
        decoder.push(&encode(2, &7u8).unwrap());
        let expected = FrameError::Version {
            found: 2,
            expected: 1,
        };
        assert_eq!(decoder.next::<u8>(1), Err(expected));
    }
}
