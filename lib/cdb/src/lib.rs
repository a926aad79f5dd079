//! Constant databases, read and built in memory (queue-and-delivery.md §0.4).
//!
//! A reader never trusts the file: every offset is checked, and a lookup
//! looks at each slot of a table once at most. Files and their atomic
//! replacement are the caller's.

/// Length of the header: 256 pairs of table position and slot count.
const HEADER_BYTES: usize = 2048;

/// The file is not a constant database, or contradicts itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a well-formed cdb: an offset points outside the file")]
pub struct Corrupt;

/// The contents do not fit the format's 32-bit offsets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too much data for a cdb: the format ends at 4 GiB")]
pub struct TooLarge;

/// The hash of a key.
fn hash(key: &[u8]) -> u32 {
    key.iter()
        .fold(5381, |h: u32, &b| h.wrapping_mul(33) ^ u32::from(b))
}

/// A database held in memory.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    file: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Wraps the bytes of a file; [`Corrupt`] when even the header is missing.
    pub fn new(file: &'a [u8]) -> Result<Self, Corrupt> {
        if file.len() < HEADER_BYTES {
            Err(Corrupt)
        } else {
            Ok(Self { file })
        }
    }

    /// The data of the first record with this key.
    pub fn find(&self, key: &[u8]) -> Result<Option<&'a [u8]>, Corrupt> {
        let hash = hash(key);
        let entry = (hash % 256) as usize * 8;
        let (table, slots) = (self.number(entry)?, self.number(entry + 4)?);
        if slots == 0 {
            return Ok(None);
        }
        let first = (hash >> 8) % slots;
        for probe in 0..slots {
            let slot = (u64::from(first) + u64::from(probe)) % u64::from(slots);
            let at = usize::try_from(u64::from(table) + slot * 8).map_err(|_| Corrupt)?;
            let (slot_hash, position) = (self.number(at)?, self.number(at + 4)?);
            if position == 0 {
                return Ok(None);
            }
            if slot_hash == hash {
                let (found, data) = self.record(position as usize)?;
                if found == key {
                    return Ok(Some(data));
                }
            }
        }
        Ok(None)
    }

    /// All records in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Corrupt>> {
        let reader = *self;
        let end = (0..256)
            .filter_map(|i| reader.number(i * 8).ok())
            .min()
            .map_or(0, |first_table| first_table as usize);
        let mut position = HEADER_BYTES;
        std::iter::from_fn(move || {
            if end <= position {
                return None;
            }
            let record = reader.record(position);
            position = record.map_or(end, |(key, data)| position + 8 + key.len() + data.len());
            Some(record)
        })
    }

    fn number(&self, at: usize) -> Result<u32, Corrupt> {
        let bytes = at
            .checked_add(4)
            .and_then(|end| self.file.get(at..end))
            .ok_or(Corrupt)?;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| Corrupt)?))
    }

    fn record(&self, position: usize) -> Result<(&'a [u8], &'a [u8]), Corrupt> {
        let key_bytes = self.number(position)? as usize;
        let data_bytes = self.number(position + 4)? as usize;
        let rest = self.file.get(position + 8..).ok_or(Corrupt)?;
        let key = rest.get(..key_bytes).ok_or(Corrupt)?;
        let data = rest[key_bytes..].get(..data_bytes).ok_or(Corrupt)?;
        Ok((key, data))
    }
}

/// Builds a database in memory.
#[derive(Debug)]
pub struct Builder {
    file: Vec<u8>,
    tables: Vec<Vec<(u32, u32)>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            file: vec![0; HEADER_BYTES],
            tables: vec![Vec::new(); 256],
        }
    }
}

impl Builder {
    /// Adds a record; several records may have one key, the first is found.
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> Result<(), TooLarge> {
        let position = u32::try_from(self.file.len()).map_err(|_| TooLarge)?;
        let hash = hash(key);
        for length in [key.len(), data.len()] {
            let length = u32::try_from(length).map_err(|_| TooLarge)?;
            self.file.extend_from_slice(&length.to_le_bytes());
        }
        self.file.extend_from_slice(key);
        self.file.extend_from_slice(data);
        self.tables[(hash % 256) as usize].push((hash, position));
        Ok(())
    }

    /// The bytes of the finished file.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        for (index, entries) in self.tables.iter().enumerate() {
            let slots = entries.len() * 2;
            let mut table = vec![(0u32, 0u32); slots];
            for &(hash, position) in entries {
                let mut slot = (hash >> 8) as usize % slots;
                while table[slot].1 != 0 {
                    slot = (slot + 1) % slots;
                }
                table[slot] = (hash, position);
            }
            let at = u32::try_from(self.file.len()).map_err(|_| TooLarge)?;
            self.file[index * 8..index * 8 + 4].copy_from_slice(&at.to_le_bytes());
            let count = u32::try_from(slots).map_err(|_| TooLarge)?;
            self.file[index * 8 + 4..index * 8 + 8].copy_from_slice(&count.to_le_bytes());
            for (hash, position) in table {
                self.file.extend_from_slice(&hash.to_le_bytes());
                self.file.extend_from_slice(&position.to_le_bytes());
            }
        }
        u32::try_from(self.file.len()).map_err(|_| TooLarge)?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        property::holds(|u| {
            let pairs = property::several(u, |u| Ok((property::bytes(u)?, property::bytes(u)?)))?;
            let mut builder = Builder::default();
            for (key, data) in &pairs {
                builder.add(key, data).unwrap();
            }
            let file = builder.finish().unwrap();
            let reader = Reader::new(&file).unwrap();
            for (key, _) in &pairs {
                let first = pairs
                    .iter()
                    .find(|(k, _)| k == key)
                    .map(|(_, d)| d.as_slice());
                assert_eq!(reader.find(key), Ok(first));
            }
            let all: Vec<_> = reader.iter().map(Result::unwrap).collect();
            assert_eq!(all.len(), pairs.len());
            Ok(())
        });
    }

    #[test]
    fn a_file_that_lies_is_called_corrupt_and_never_panics() {
        property::holds(|u| {
            let mut builder = Builder::default();
            builder.add(b"key", b"data").unwrap();
            let mut file = builder.finish().unwrap();
            let at = u.int_in_range(0..=file.len() - 1)?;
            file[at] = u.arbitrary()?;
            let reader = Reader::new(&file).unwrap();
            let _ = reader.find(b"key");
            let _ = reader.iter().take(10).count();
            Ok(())
        });
    }
}
