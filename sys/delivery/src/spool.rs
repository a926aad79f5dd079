//! Messages that must be seekable, or start with further lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// Up to this size a copy is kept in memory.
const MEMORY_BYTES_MAX: u64 = 1 << 20;
/// Bytes copied at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// A nameless file in memory with this content, at its start.
pub fn memory_file(content: &[u8]) -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut file = File::from(memfd_create("message", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// A nameless file with `prefix` and all of `message`, at its start.
pub fn spool(prefix: &[u8], message: &File) -> io::Result<File> {
    let bytes = message.metadata()?.len() + prefix.len() as u64;
    let mut copy = if bytes <= MEMORY_BYTES_MAX {
        memory_file(prefix)?
    } else {
        let mut copy = nameless()?;
        copy.write_all(prefix)?;
        copy
    };
    copy.seek(SeekFrom::End(0))?;
    let (mut buffer, mut offset) = (vec![0; CHUNK_BYTES], 0);
    loop {
        match message.read_at(&mut buffer, offset) {
            Ok(0) => break,
            Ok(got) => {
                copy.write_all(&buffer[..got])?;
                offset += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    copy.rewind()?;
    Ok(copy)
}

/// The message itself when it can be read again and again, else a copy.
pub fn seekable(mut message: File) -> io::Result<File> {
    if message.metadata()?.is_file() {
        return Ok(message);
    }
    let mut copy = nameless()?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match message.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => copy.write_all(&buffer[..got])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    copy.rewind()?;
    Ok(copy)
}

/// A file in the directory for temporary files that has no name any more.
fn nameless() -> io::Result<File> {
    let directory = std::env::temp_dir();
    let open = |options: &mut OpenOptions, path| options.read(true).write(true).mode(0o600).open(path);
    let flags = nix::libc::O_TMPFILE;
    if let Ok(file) = open(OpenOptions::new().custom_flags(flags), directory.clone()) {
        return Ok(file);
    }
    // Not every file system knows O_TMPFILE.
    let name = format!("mail.{}.{:016x}", std::process::id(), os::clock::random());
    let path = directory.join(name);
    let file = open(OpenOptions::new().create_new(true), path.clone())?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(mut file: File) -> Vec<u8> {
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn small_and_large_copies_are_whole() {
        for length in [0, 10, 3 << 20] {
            let text = vec![b'x'; length];
            let message = memory_file(&text).unwrap();
            let copy = content(spool(b"A: b\n", &message).unwrap());
            assert_eq!(copy, [b"A: b\n", &text[..]].concat());
        }
    }

    #[test]
    fn a_pipe_becomes_seekable() {
        let (read, write) = os::fd::pipe().unwrap();
        File::from(write).write_all(b"hello").unwrap();
        let file = seekable(read.into()).unwrap();
        let mut again = [0; 5];
        file.read_exact_at(&mut again, 0).unwrap();
        assert_eq!((&again, &content(file)[..]), (b"hello", &b"hello"[..]));
    }
}
