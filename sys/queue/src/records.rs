//! Reading the queue's record files from disk in bounded memory: `todo`,
//! `info`, `local`, `remote` (queue-and-delivery.md §2.4).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::{Disk, FileSystem, Status};

/// Longest record: a block of header lines.
pub const RECORD_BYTES_MAX: u64 = 256 * 1024;

/// A record of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnedRecord {
    /// What the record means: `u p F T D e h`.
    pub kind: u8,
    /// The data between the type byte and the NUL.
    pub data: Vec<u8>,
    /// Offset of the type byte in the file.
    pub offset: u64,
}

/// Reads records one after the other.
#[derive(Debug)]
pub struct RecordReader<R = BufReader<File>> {
    input: R,
    offset: u64,
}

impl RecordReader {
    /// Opens a file of records.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_on(&Disk::with_names(), path)
    }

    /// The file itself, for its times and size.
    pub fn file(&self) -> &File {
        self.input.get_ref()
    }
}

impl<I: Read> RecordReader<BufReader<I>> {
    /// Opens a file of records on some file system.
    pub fn open_on<F: FileSystem<Input = I>>(files: &F, path: &Path) -> io::Result<Self> {
        Ok(Self::new(BufReader::new(files.open(path)?)))
    }

    /// What the file itself is like.
    pub(crate) fn status<F: FileSystem<Input = I>>(&self, files: &F) -> io::Result<Status> {
        files.status_of(self.input.get_ref())
    }
}

impl<R: BufRead> RecordReader<R> {
    /// Reads from anything.
    pub fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    /// The next record, `None` at the end. A record without its NUL, or
    /// longer than [`RECORD_BYTES_MAX`], is an error: the file was cut.
    pub fn next_record(&mut self) -> io::Result<Option<OwnedRecord>> {
        let mut data = Vec::new();
        let mut limited = (&mut self.input).take(RECORD_BYTES_MAX);
        let length = limited.read_until(0, &mut data)?;
        if length == 0 {
            return Ok(None);
        }
        if data.pop() != Some(0) || data.is_empty() {
            let text = format!("malformed record at byte {}", self.offset);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let offset = self.offset;
        self.offset += length as u64;
        let kind = data.remove(0);
        Ok(Some(OwnedRecord { kind, data, offset }))
    }

    /// The next recipient that is not done, in a file of recipients.
    pub fn next_recipient(&mut self) -> io::Result<Option<OwnedRecord>> {
        loop {
            match self.next_record()? {
                Some(record) if record.kind == b'D' => {}
                Some(record) if record.kind != b'T' => {
                    let text = format!("unknown record type at byte {}", record.offset);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                other => return Ok(other),
            }
        }
    }
}

/// What `info/N` says of a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Header lines put on top at delivery (QQEH).
    pub extra_headers: Vec<u8>,
    /// Header lines that become variables (ENVHEADERS).
    pub env_headers: Vec<u8>,
    /// The file's mtime: when the message was born.
    pub birth: i64,
}

impl Info {
    /// Reads the file. Records are found by type, not by position; those of
    /// other types are ignored.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::read_on(&Disk::with_names(), path)
    }

    /// As [`Info::read`], on some file system.
    pub fn read_on<F: FileSystem>(files: &F, path: &Path) -> io::Result<Self> {
        let mut reader = RecordReader::open_on(files, path)?;
        let mut info = Self {
            birth: reader.status(files)?.mtime,
            ..Self::default()
        };
        let mut has_sender = false;
        while let Some(record) = reader.next_record()? {
            match record.kind {
                b'F' => {
                    info.sender = record.data;
                    has_sender = true;
                }
                b'e' => info.extra_headers = record.data,
                b'h' => info.env_headers = record.data,
                _ => {}
            }
        }
        if has_sender {
            Ok(info)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "no sender"))
        }
    }

    /// The records of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        text::records::append(&mut out, b'F', &self.sender);
        if !self.extra_headers.is_empty() {
            text::records::append(&mut out, b'e', &self.extra_headers);
        }
        if !self.env_headers.is_empty() {
            text::records::append(&mut out, b'h', &self.env_headers);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_recipient_stops_the_reader() {
        for bad in [&b"Xa@b\0"[..], b"Ta@b", b"\0", b"Ta@b\0Tc"] {
            let mut reader = RecordReader::new(bad);
            let end = loop {
                match reader.next_recipient() {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            };
            assert!(end.is_err(), "{bad:?}");
        }
    }

    #[test]
    fn info_comes_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("7");
        let mut info = Info {
            sender: b"ann@example.org".to_vec(),
            extra_headers: b"X-A: 1\n".to_vec(),
            env_headers: b"X-B: 2\n".to_vec(),
            birth: 0,
        };
        std::fs::write(&path, info.to_bytes()).unwrap();
        let read = Info::read(&path).unwrap();
        info.birth = read.birth;
        assert_eq!(read, info);
        std::fs::write(&path, b"eX: y\n\0").unwrap();
        assert!(Info::read(&path).is_err());
    }
}
