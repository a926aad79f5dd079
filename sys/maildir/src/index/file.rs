//! The index file: loading, following, appending, replacing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::{ADD_BYTES_MIN, Bytes, Record, checksum};
use super::state::{Effect, State};
use crate::error::{Error, Result};

const FILE: &str = "indimail.index";

/// Magic bytes with the version of the format at the end.
const MAGIC: [u8; 8] = *b"IMINDEX\x01";
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 4;

/// A file larger than this is not one of ours: 2²⁰ messages need less.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The file is replaced when it has this many records more than it needs,
/// or twice those it needs.
const SPARE_RECORDS_MIN: usize = 4096;

/// The beginning of an index file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) highest_modseq: u64,
    pub(crate) generation: u64,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.uid_validity.to_le_bytes());
        out.extend(self.uid_next.to_le_bytes());
        out.extend(self.highest_modseq.to_le_bytes());
        out.extend(self.generation.to_le_bytes());
        out.extend(checksum(0, &out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let (checked, stored) = header.split_at(HEADER_BYTES - 4);
        if checksum(0, checked) != u32::from_le_bytes(stored.try_into().ok()?) {
            return None;
        }
        let mut fields = Bytes(checked.strip_prefix(&MAGIC)?);
        let header = Self {
            uid_validity: fields.u32()?,
            uid_next: fields.u32()?,
            highest_modseq: fields.u64()?,
            generation: fields.u64()?,
        };
        (header.uid_validity != 0 && header.uid_next != 0).then_some(header)
    }
}

/// An index that was read from its file.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    file: File,
    header: Header,
    /// How far the file is understood.
    offset: u64,
    records: usize,
    pub(crate) state: State,
}

impl Index {
    /// Reads the index of the folder at `folder`; `None` when there is none,
    /// or none we understand.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let file = match OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let mut header = [0; HEADER_BYTES];
        let got = read_up_to(&file, &mut header, 0).map_err(Error::io("read", &path))?;
        let Some(header) = Header::decode(&header[..got]) else {
            return Ok(None);
        };
        let mut index = Self {
            path,
            file,
            header,
            offset: HEADER_BYTES as u64,
            records: 0,
            state: State {
                uid_next: header.uid_next,
                highest_modseq: header.highest_modseq,
                ..State::default()
            },
        };
        index.read_on(|_| ())?;
        Ok(Some(index))
    }

    /// Writes a new index file and reads it. The caller holds the lock.
    pub(crate) fn create(folder: &Path, uid_validity: u32, state: &State) -> Result<Self> {
        write_whole(&folder.join(FILE), uid_validity, state)?;
        match Self::load(folder)? {
            Some(index) => Ok(index),
            None => Err(Error::io("read", &folder.join(FILE))(
                io::ErrorKind::InvalidData.into(),
            )),
        }
    }

    /// Reads what others appended since; `false` when the file was replaced,
    /// so that it must be loaded anew.
    pub(crate) fn follow(&mut self, effect: impl FnMut(Effect)) -> Result<bool> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => {
                let ours = self
                    .file
                    .metadata()
                    .map_err(Error::io("stat", &self.path))?;
                if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
                    return Ok(false);
                }
                if there.len() < self.offset {
                    return Ok(false);
                }
                if there.len() == self.offset {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("stat", &self.path)(error)),
        }
        let next = self.state.uid_next;
        self.read_on(effect)?;
        if next < self.state.uid_next {
            // A UID must not be told before it is on disk, whoever gave it.
            self.file
                .sync_data()
                .map_err(Error::io("sync", &self.path))?;
        }
        Ok(true)
    }

    /// Makes the file end where it is understood. The caller holds the lock,
    /// so nobody is writing the rest: it is torn or damaged. UIDs that could
    /// have been given out in it are skipped.
    pub(crate) fn mend(&mut self) -> Result<()> {
        let length = self
            .file
            .metadata()
            .map_err(Error::io("stat", &self.path))?
            .len();
        let Some(rest) = length.checked_sub(self.offset).filter(|&rest| 0 < rest) else {
            return Ok(());
        };
        let skipped = rest / ADD_BYTES_MIN as u64 + 1;
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
        self.state.uid_next = self.state.uid_next.saturating_add(skipped);
        self.replace()
    }

    /// Appends records, and applies them once they are in the file. The
    /// caller holds the lock and has followed the file to its end.
    pub(crate) fn append(
        &mut self,
        records: Vec<Record>,
        effect: impl FnMut(Effect),
    ) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let adds = records.iter().any(|r| matches!(r, Record::Add { .. }));
        let mut bytes = Vec::new();
        for record in &records {
            record.encode(self.header.generation, &mut bytes);
        }
        let mut written = self.file.write_all_at(&bytes, self.offset);
        // UIDs must survive a power cut once they are told. Other records say
        // what the file names say too, or can be asked of the client again.
        if written.is_ok() && adds {
            written = self.file.sync_data();
        }
        if let Err(error) = written {
            let _ = self.file.set_len(self.offset);
            return Err(Error::io("write", &self.path)(error));
        }
        self.offset += bytes.len() as u64;
        self.records += records.len();
        self.state.apply_all(records, effect);
        if self.state.records_min() * 2 + SPARE_RECORDS_MIN < self.records {
            self.replace()?;
        }
        Ok(())
    }

    /// UIDVALIDITY.
    pub(crate) fn uid_validity(&self) -> u32 {
        self.header.uid_validity
    }

    /// Replaces the file by a compact one. The caller holds the lock.
    fn replace(&mut self) -> Result<()> {
        write_whole(&self.path, self.header.uid_validity, &self.state)?;
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        if let Some(index) = Self::load(&folder)? {
            *self = index;
        }
        Ok(())
    }

    fn read_on(&mut self, effect: impl FnMut(Effect)) -> Result<()> {
        let length = self
            .file
            .metadata()
            .map_err(Error::io("stat", &self.path))?
            .len();
        let rest = length.min(FILE_BYTES_MAX).saturating_sub(self.offset);
        let mut bytes = vec![0; rest as usize];
        let got = read_up_to(&self.file, &mut bytes, self.offset)
            .map_err(Error::io("read", &self.path))?;
        let mut bytes = &bytes[..got];
        let mut records = Vec::new();
        while let Some((record, length)) = Record::decode(self.header.generation, bytes) {
            records.push(record);
            bytes = &bytes[length..];
            self.offset += length as u64;
        }
        self.records += records.len();
        self.state.apply_all(records, effect);
        Ok(())
    }
}

/// Writes beside, syncs, renames, syncs the directory: readers see the old
/// index or the new one.
fn write_whole(path: &Path, uid_validity: u32, state: &State) -> Result<()> {
    let header = Header {
        uid_validity,
        uid_next: state.uid_next.max(1),
        highest_modseq: state.highest_modseq,
        generation: os::clock::random(),
    };
    let mut bytes = header.encode();
    for record in state.records() {
        record.encode(header.generation, &mut bytes);
    }
    os::file::replace(path, &bytes, 0o600).map_err(Error::io("write", path))
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The next UIDVALIDITY of an account: the time, but never one that was given
/// before. The caller holds the account's lock.
pub(crate) fn next_uid_validity(path: &Path) -> Result<u32> {
    let last = match std::fs::read(path) {
        Ok(text) => text::control::integer(&text).unwrap_or(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let next = (last + 1).max(os::clock::unix_seconds());
    let next = u32::try_from(next).map_err(|_| Error::UidsExhausted)?;
    let mut line = Vec::new();
    // Writing to a vector cannot fail.
    let _ = writeln!(line, "{next}");
    os::file::replace(path, &line, 0o600).map_err(Error::io("write", path))?;
    Ok(next)
}
