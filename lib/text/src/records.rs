//! Records of the queue's files: one type byte, data, NUL
//! (queue-and-delivery.md §2.4).

/// One record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    /// What the record means: `u p F T D e h`.
    pub kind: u8,
    /// The data between the type byte and the NUL.
    pub data: &'a [u8],
    /// Offset of the type byte in the input.
    pub offset: usize,
}

/// The input ended inside a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unterminated {
    /// Where the unfinished record starts.
    pub offset: usize,
}

/// Iterates over the records of a file held in memory.
pub fn iter(input: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Unterminated>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = input.get(offset..).filter(|rest| !rest.is_empty())?;
        let start = offset;
        let Some(end) = memchr::memchr(0, rest) else {
            offset = input.len();
            return Some(Err(Unterminated { offset: start }));
        };
        offset += end + 1;
        // A lone NUL is a record without a type; it gets the type 0.
        let (kind, data) = rest[..end]
            .split_first()
            .map_or((0, &b""[..]), |(k, d)| (*k, d));
        Some(Ok(Record {
            kind,
            data,
            offset: start,
        }))
    })
}

/// Appends one record. The data must not contain NUL; bytes after one would
/// be read as another record, so they are not written.
pub fn append(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    let end = memchr::memchr(0, data).unwrap_or(data.len());
    out.push(kind);
    out.extend_from_slice(&data[..end]);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_with_their_offsets() {
        let mut file = Vec::new();
        append(&mut file, b'F', b"");
        append(&mut file, b'T', b"ann@example.org");
        let records: Vec<_> = iter(&file).map(Result::unwrap).collect();
        assert_eq!(
            records[0],
            Record {
                kind: b'F',
                data: b"",
                offset: 0
            }
        );
        assert_eq!(
            records[1],
            Record {
                kind: b'T',
                data: b"ann@example.org",
                offset: 2
            }
        );
    }

    #[test]
    fn a_cut_file_says_where_it_was_cut() {
        let result: Vec<_> = iter(b"Fa\0Tb").collect();
        assert_eq!(result[1], Err(Unterminated { offset: 3 }));
        assert_eq!(result.len(), 2);
    }
}
