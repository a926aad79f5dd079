//! Records of the index file.
//!
//! A record is its length (16 bits), a kind, a payload, and a CRC-32 over all
//! of them that begins with the file's generation. Numbers are little-endian.

use crate::flags::Flags;
use crate::name::{FileName, Place};

const LENGTH_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 4;
const ADD_FIXED_BYTES: usize = 4 + 8 + 8 + 8 + 8 + 8 + 1;

/// The least a UID costs in the file; a base name has one byte at least.
pub(crate) const ADD_BYTES_MIN: usize = LENGTH_BYTES + 1 + ADD_FIXED_BYTES + 1 + CHECKSUM_BYTES;

/// Stands for "not known" where a size is expected.
const UNKNOWN: u64 = u64::MAX;

/// One change of the index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Record {
    /// A message got a UID.
    Add {
        uid: u32,
        modseq: u64,
        size: u64,
        wire_size: Option<u64>,
        internal_date: i64,
        keywords: u64,
        name: FileName,
    },
    /// A message has other flags or another place. `suffix` follows the base
    /// name.
    Update {
        uid: u32,
        modseq: u64,
        keywords: u64,
        place: Place,
        suffix: Vec<u8>,
    },
    /// A message is gone.
    Expunge { uid: u32, modseq: u64 },
    /// A keyword has a number.
    Keyword { number: u8, name: String },
    /// The records so far mirror directories with these times of change.
    Stamp { new: i128, cur: i128 },
    /// Bytes of a message with CR LF line ends.
    WireSize { uid: u32, size: u64 },
    /// Expunges up to this modification sequence are forgotten.
    Forgotten { modseq: u64 },
    /// Messages below this UID are recent for nobody who comes now.
    Claimed { uid: u32 },
}

impl Record {
    /// Appends the record as bytes.
    pub(crate) fn encode(&self, generation: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; LENGTH_BYTES]);
        match self {
            Self::Add {
                uid,
                modseq,
                size,
                wire_size,
                internal_date,
                keywords,
                name,
            } => {
                out.push(1);
                out.extend(uid.to_le_bytes());
                out.extend(modseq.to_le_bytes());
                out.extend(size.to_le_bytes());
                out.extend(wire_size.unwrap_or(UNKNOWN).to_le_bytes());
                out.extend(internal_date.to_le_bytes());
                out.extend(keywords.to_le_bytes());
                out.push(place_code(name.place()));
                out.extend(name.text());
            }
            Self::Update {
                uid,
                modseq,
                keywords,
                place,
                suffix,
            } => {
                out.push(2);
                out.extend(uid.to_le_bytes());
                out.extend(modseq.to_le_bytes());
                out.extend(keywords.to_le_bytes());
                out.push(place_code(*place));
                out.extend(suffix);
            }
            Self::Expunge { uid, modseq } => {
                out.push(3);
                out.extend(uid.to_le_bytes());
                out.extend(modseq.to_le_bytes());
            }
            Self::Keyword { number, name } => {
                out.extend([4, *number]);
                out.extend(name.as_bytes());
            }
            Self::Stamp { new, cur } => {
                out.push(5);
                out.extend(new.to_le_bytes());
                out.extend(cur.to_le_bytes());
            }
            Self::WireSize { uid, size } => {
                out.push(6);
                out.extend(uid.to_le_bytes());
                out.extend(size.to_le_bytes());
            }
            Self::Forgotten { modseq } => {
                out.push(7);
                out.extend(modseq.to_le_bytes());
            }
            Self::Claimed { uid } => {
                out.push(8);
                out.extend(uid.to_le_bytes());
            }
        }
        // Nothing here is longer than a file name and a few numbers.
        let length = u16::try_from(out.len() - start - LENGTH_BYTES).unwrap_or(u16::MAX);
        out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(generation, &out[start..]);
        out.extend(checksum.to_le_bytes());
    }

    /// The first record of these bytes and its length; `None` when it is not
    /// complete or damaged.
    pub(crate) fn decode(generation: u64, bytes: &[u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, rest) = rest.split_at_checked(length)?;
        let stored = u32::from_le_bytes(*rest.first_chunk()?);
        let checked = &bytes[..LENGTH_BYTES + length];
        if checksum(generation, checked) != stored {
            return None;
        }
        let record = Self::decode_body(&mut Bytes(body))?;
        Some((record, checked.len() + CHECKSUM_BYTES))
    }

    fn decode_body(body: &mut Bytes<'_>) -> Option<Self> {
        let record = match body.u8()? {
            1 => {
                let uid = body.u32()?;
                let modseq = body.u64()?;
                let size = body.u64()?;
                let wire_size = Some(body.u64()?).filter(|&size| size != UNKNOWN);
                let internal_date = i64::from_le_bytes(body.array()?);
                let keywords = body.u64()?;
                let place = place(body.u8()?)?;
                Self::Add {
                    uid,
                    modseq,
                    size,
                    wire_size,
                    internal_date,
                    keywords,
                    name: FileName::parse(place, body.rest())?,
                }
            }
            2 => Self::Update {
                uid: body.u32()?,
                modseq: body.u64()?,
                keywords: body.u64()?,
                place: place(body.u8()?)?,
                suffix: body.rest().to_vec(),
            },
            3 => Self::Expunge {
                uid: body.u32()?,
                modseq: body.u64()?,
            },
            4 => Self::Keyword {
                number: body.u8()?,
                name: String::from_utf8(body.rest().to_vec()).ok()?,
            },
            5 => Self::Stamp {
                new: i128::from_le_bytes(body.array()?),
                cur: i128::from_le_bytes(body.array()?),
            },
            6 => Self::WireSize {
                uid: body.u32()?,
                size: body.u64()?,
            },
            7 => Self::Forgotten {
                modseq: body.u64()?,
            },
            8 => Self::Claimed { uid: body.u32()? },
            _ => return None,
        };
        body.rest().is_empty().then_some(record)
    }
}

fn place_code(place: Place) -> u8 {
    match place {
        Place::New => 0,
        Place::Cur => 1,
    }
}

fn place(code: u8) -> Option<Place> {
    match code {
        0 => Some(Place::New),
        1 => Some(Place::Cur),
        _ => None,
    }
}

/// Bytes that are taken from the front.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// CRC-32 (the polynomial of IEEE 802.3) of a generation and bytes.
pub(super) fn checksum(generation: u64, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                let carry = value & 1;
                value >>= 1;
                if carry == 1 {
                    value ^= 0xedb8_8320;
                }
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let all = generation.to_le_bytes().into_iter();
    !all.chain(bytes.iter().copied()).fold(!0, |value, byte| {
        TABLE[usize::from(value as u8 ^ byte)] ^ (value >> 8)
    })
}

/// Flags of a message whose name and index keywords are these. Letters win
/// for keywords that have one.
pub(crate) fn flags(name: &FileName, stored: u64, keywords_known: usize) -> Flags {
    let with_letters = crate::flags::KEYWORD_LETTERS.min(keywords_known);
    let mask = (1u64 << with_letters) - 1;
    Flags {
        system: name.system(),
        keywords: (name.keywords() & mask) | (stored & !mask),
    }
}

#[cfg(test)]
mod tests {
    use property::arbitrary::{self, Unstructured};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let name = FileName::parse(Place::Cur, b"1.x,S=2:2,S").unwrap();
        let records = [
            Record::Add {
                uid: 7,
                modseq: 8,
                size: 2,
                wire_size: None,
                internal_date: -1,
                keywords: 3,
                name,
            },
            Record::Update {
                uid: 7,
                modseq: 9,
                keywords: 1,
                place: Place::New,
                suffix: b":2,".to_vec(),
            },
            Record::Expunge { uid: 7, modseq: 10 },
            Record::Keyword {
                number: 1,
                name: "$Junk".to_owned(),
            },
            Record::Stamp { new: -5, cur: 6 },
            Record::WireSize { uid: 7, size: 3 },
            Record::Forgotten { modseq: 1 },
        ];
        for record in records {
            let mut bytes = Vec::new();
            record.encode(42, &mut bytes);
            let length = bytes.len();
            assert_eq!(Record::decode(42, &bytes), Some((record, length)));
            assert_eq!(Record::decode(43, &bytes), None, "other generation");
            for cut in 0..length {
                assert_eq!(Record::decode(42, &bytes[..cut]), None);
                bytes[cut] ^= 1;
                assert_eq!(Record::decode(42, &bytes), None);
                bytes[cut] ^= 1;
            }
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_ethernet() {
        // With eight bytes "12345678" as the generation, then "9".
        let generation = u64::from_le_bytes(*b"12345678");
        assert_eq!(checksum(generation, b"9"), 0xcbf4_3926);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            assert_eq!(Record::decode(1, &bytes), None);
            let _ = Record::decode_body(&mut Bytes(&bytes));
            Ok(())
        });
    }

    /// Any record that can be written: a file name has at most 255 bytes.
    fn any(u: &mut Unstructured<'_>) -> arbitrary::Result<Record> {
        let place = *u.choose(&[Place::New, Place::Cur])?;
        let (uid, modseq, keywords) = u.arbitrary()?;
        Ok(match u.int_in_range(1..=8)? {
            1 => {
                let mut text = property::bytes(u)?;
                text.retain(|byte| !matches!(byte, b'/' | 0));
                text.truncate(254);
                text.insert(0, b'1');
                Record::Add {
                    uid,
                    modseq,
                    size: u.arbitrary()?,
                    wire_size: u.arbitrary::<Option<u32>>()?.map(u64::from),
                    internal_date: u.arbitrary()?,
                    keywords,
                    name: FileName::parse(place, &text).unwrap(),
                }
            }
            2 => Record::Update {
                uid,
                modseq,
                keywords,
                place,
                suffix: u.arbitrary::<[u8; 9]>()?.to_vec(),
            },
            3 => Record::Expunge { uid, modseq },
            4 => Record::Keyword {
                number: u.arbitrary()?,
                name: u.arbitrary()?,
            },
            5 => Record::Stamp {
                new: u.arbitrary()?,
                cur: u.arbitrary()?,
            },
            6 => Record::WireSize {
                uid,
                size: u.arbitrary()?,
            },
            7 => Record::Forgotten { modseq },
            _ => Record::Claimed { uid },
        })
    }

    #[test]
    fn any_records_come_back_in_their_order_and_from_a_torn_file_too() {
        property::holds(|u| {
            let generation = u.arbitrary()?;
            let (mut bytes, mut ends, mut written) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..u.int_in_range(0..=5)? {
                let record = any(u)?;
                record.encode(generation, &mut bytes);
                ends.push(bytes.len());
                written.push(record);
            }
            let cut = u.int_in_range(0..=bytes.len())?;
            let mut rest = &bytes[..cut];
            let mut read = Vec::new();
            while let Some((record, length)) = Record::decode(generation, rest) {
                read.push(record);
                rest = &rest[length..];
            }
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(read, written[..whole]);
            Ok(())
        });
    }
}
