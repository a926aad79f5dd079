//! Appending one message to an mbox file (queue-and-delivery.md §6.6).
//!
//! Under an exclusive lock: remember the end, append, sync, unlock. When a
//! write or the sync fails the file is cut back to the remembered end, so
//! that a reader never sees half a message. A crash can leave half of one; it
//! is then followed by the same message in full, for nobody said yes.
//!
//! [`extend`] puts many messages into a copy that then takes the file's place;
//! who waited for the lock of the old file meanwhile opens the new one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for whoever has the lock.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How often an mbox may be replaced while we wait for it.
const REPLACED_MAX: u32 = 100;
/// Longest piece of a line held in memory.
const LINE_PIECE_BYTES: usize = 64 * 1024;

/// Why a message is not in the mbox. All but [`Error::Full`] are temporary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, or is neither a file nor `/dev/null`.
    #[error("unable to open mbox")]
    Open(#[source] io::Error),
    /// Somebody had the lock for half a minute.
    #[error("mbox has been locked for 30 seconds straight")]
    Locked,
    /// The message cannot be read.
    #[error("unable to read message")]
    Read(#[source] io::Error),
    /// The disk quota of the owner is used up.
    #[error("disk quota exceeded")]
    Full(#[source] io::Error),
    /// The message cannot be written or made durable.
    #[error("unable to write mbox")]
    Write(#[source] io::Error),
}

/// May the last name of the path be a symbolic link?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Links {
    /// Yes: the path is inside the home of who delivers.
    Followed,
    /// No: others may write where the path leads through.
    Refused,
}

/// Appends `head` (the `From ` line and the added header lines) and the whole
/// of `message`, its lines that look like a `From ` line quoted with `>`, and
/// an empty line. A missing file is created with mode 0600.
pub fn append(path: &Path, links: Links, head: &[u8], message: &File) -> Result<(), Error> {
    append_waiting(path, links, head, message, LOCK_WAIT_MAX)
}

fn append_waiting(
    path: &Path,
    links: Links,
    head: &[u8],
    message: &File,
    wait: Duration,
) -> Result<(), Error> {
    let no_follow = match links {
        Links::Followed => 0,
        Links::Refused => nix::libc::O_NOFOLLOW,
    };
    let Some(file) = open_locked(path, no_follow, wait)? else {
        return Ok(());
    };
    let end = file.metadata().map_err(Error::Open)?.len();
    let result = write(&file, head, message).and_then(|()| file.sync_all().map_err(written));
    if result.is_err() {
        let _ = file.set_len(end);
    }
    result
}

/// Puts messages, each behind its head, at the end of an mbox: into a copy,
/// `through`, that takes the place of the mbox once it is on disk. All of them
/// are there then, or none.
pub fn extend(
    path: &Path,
    through: &Path,
    messages: impl Iterator<Item = io::Result<(Vec<u8>, File)>>,
) -> Result<(), Error> {
    let Some(file) = open_locked(path, 0, LOCK_WAIT_MAX)? else {
        return Err(Error::Open(io::ErrorKind::InvalidInput.into()));
    };
    // Held until the copy is in place.
    let metadata = file.metadata().map_err(Error::Open)?;
    match std::fs::remove_file(through) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::Write(error)),
        _ => {}
    }
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(metadata.permissions().mode() & 0o777)
        .open(through)
        .map_err(Error::Write)?;
    let placed = (|| {
        let mut old = File::open(path).map_err(Error::Open)?;
        io::copy(&mut old, &mut copy).map_err(written)?;
        for message in messages {
            let (head, message) = message.map_err(Error::Read)?;
            write(&copy, &head, &message)?;
        }
        copy.sync_all().map_err(written)?;
        std::fs::rename(through, path).map_err(Error::Write)
    })();
    if placed.is_err() {
        let _ = std::fs::remove_file(through);
        return placed;
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    os::file::sync_directory(parent.unwrap_or(Path::new("."))).map_err(Error::Write)
}

/// Opens and locks an mbox; `None` is `/dev/null`, which needs nothing.
fn open_locked(
    path: &Path,
    no_follow: i32,
    wait: Duration,
) -> Result<Option<os::file::Lock>, Error> {
    for _ in 0..REPLACED_MAX {
        // Without O_NONBLOCK the open of a FIFO would wait for its reader.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY | no_follow)
            .open(path)
            .map_err(Error::Open)?;
        let metadata = file.metadata().map_err(Error::Open)?;
        let kind = metadata.file_type();
        if kind.is_char_device() && path == Path::new("/dev/null") {
            return Ok(None);
        }
        if !kind.is_file() {
            return Err(Error::Open(io::ErrorKind::InvalidInput.into()));
        }
        let file = lock(file, wait)?;
        // Whoever had the lock may have put another file in this one's place:
        // what is appended here would never be read.
        let is_current = std::fs::metadata(path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()));
        if is_current {
            return Ok(Some(file));
        }
    }
    Err(Error::Locked)
}

fn lock(file: File, wait: Duration) -> Result<os::file::Lock, Error> {
    let deadline = Instant::now() + wait;
    loop {
        // Cloning shares the open file, and so the lock.
        let again = file.try_clone().map_err(Error::Open)?;
        if let Some(lock) = os::file::try_lock(again).map_err(Error::Open)? {
            return Ok(lock);
        }
        if deadline <= Instant::now() {
            return Err(Error::Locked);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

fn written(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(nix::libc::EDQUOT) => Error::Full(error),
        _ => Error::Write(error),
    }
}

fn write(file: &File, head: &[u8], message: &File) -> Result<(), Error> {
    let mut out = BufWriter::new(file);
    let mut lines = BufReader::new(FromStart { message, offset: 0 });
    out.write_all(head).map_err(written)?;
    let mut piece = Vec::new();
    let mut at_line_start = true;
    loop {
        piece.clear();
        let mut limited = (&mut lines).take(LINE_PIECE_BYTES as u64);
        if limited.read_until(b'\n', &mut piece).map_err(Error::Read)? == 0 {
            break;
        }
        if at_line_start && is_from_line(&piece) {
            out.write_all(b">").map_err(written)?;
        }
        out.write_all(&piece).map_err(written)?;
        at_line_start = piece.ends_with(b"\n");
    }
    let end: &[u8] = if at_line_start { b"\n" } else { b"\n\n" };
    out.write_all(end).map_err(written)?;
    out.flush().map_err(written)
}

/// Says whether a line is `From ` after any number of `>`.
fn is_from_line(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|&&b| b == b'>').count();
    line[quotes..].starts_with(b"From ")
}

/// Reads a file from its first byte without moving its offset.
struct FromStart<'a> {
    message: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.message.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn lines_that_look_like_a_separator_are_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        let text = message(b"Subject: x\n\nFrom me\n>From me\n>>Fromage\nlast");
        append(&path, Links::Followed, b"From a@b DATE\n", &text).unwrap();
        append(&path, Links::Followed, b"From a@b DATE\n", &message(b"x\n")).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"From a@b DATE\nSubject: x\n\n>From me\n>>From me\n>>Fromage\nlast\n\nFrom a@b DATE\nx\n\n"
        );
    }

    #[test]
    fn two_at_once_do_not_mix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        let texts: Vec<Vec<u8>> = (b'a'..b'e').map(|b| [b; 99_999].to_vec()).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope
                    .spawn(|| append(&path, Links::Followed, b"From x\n", &message(text)).unwrap());
            }
        });
        let content = std::fs::read(&path).unwrap();
        for text in &texts {
            let whole = [b"From x\n", &text[..], b"\n\n"].concat();
            assert!(content.windows(whole.len()).any(|window| window == whole));
        }
    }

    #[test]
    fn a_lock_that_is_never_released_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        let _held = os::file::try_lock(File::create(&path).unwrap()).unwrap();
        let result = append_waiting(&path, Links::Followed, b"", &message(b"x"), Duration::ZERO);
        assert!(matches!(result, Err(Error::Locked)));
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_failed_append_is_cut_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        std::fs::write(&path, "old\n").unwrap();
        let unreadable = File::open(directory.path()).unwrap();
        let error = append(&path, Links::Followed, b"From x\n", &unreadable).unwrap_err();
        assert!(matches!(error, Error::Read(_)));
        assert_eq!(std::fs::read(&path).unwrap(), b"old\n");
    }

    #[test]
    fn neither_fifo_nor_directory_is_an_mbox() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        os::file::make_fifo(&fifo, 0o600).unwrap();
        for path in [&fifo, directory.path()] {
            assert!(matches!(
                append(path, Links::Followed, b"", &message(b"x")),
                Err(Error::Open(_))
            ));
        }
    }

    #[test]
    fn who_waited_for_a_replaced_mbox_writes_to_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        std::fs::write(&path, "old\n").unwrap();
        let old = os::file::try_lock(File::open(&path).unwrap()).unwrap();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| append(&path, Links::Followed, b"From x\n", &message(b"late\n")));
            std::thread::sleep(2 * LOCK_PAUSE);
            std::fs::write(directory.path().join("new"), "new\n").unwrap();
            std::fs::rename(directory.path().join("new"), &path).unwrap();
            drop(old);
            waiting.join().unwrap().unwrap();
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"new\nFrom x\nlate\n\n");
    }

    #[test]
    fn many_messages_are_put_at_the_end_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (path, through) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&path, "old\n\n").unwrap();
        let messages = [
            Ok((b"From x\n".to_vec(), message(b"one\nFrom y\n"))),
            Ok((b"From y\n".to_vec(), message(b"two"))),
        ];
        extend(&path, &through, messages.into_iter()).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"old\n\nFrom x\none\n>From y\n\nFrom y\ntwo\n\n"
        );
        let unreadable = [Ok((Vec::new(), File::open(directory.path()).unwrap()))];
        assert!(extend(&path, &through, unreadable.into_iter()).is_err());
        assert!(!through.exists());
        assert!(std::fs::read(&path).unwrap().ends_with(b"two\n\n"));
    }

    #[test]
    fn a_link_is_followed_only_where_it_may_be() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("a"), directory.path().join("b"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(append(&link, Links::Refused, b"From x\n", &message(b"x")).is_err());
        assert!(!path.exists());
        append(&link, Links::Followed, b"From x\n", &message(b"x")).unwrap();
        assert!(path.exists());
    }

    /// Messages of an mbox as any reader finds them: a `From ` line begins
    /// one, an empty line ends it, one `>` of a quoted line is taken away.
    fn messages(mbox: &[u8]) -> Vec<Vec<u8>> {
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for line in mbox.split_inclusive(|&b| b == b'\n') {
            match messages.last_mut() {
                _ if line.starts_with(b"From ") => messages.push(Vec::new()),
                Some(message) if line.starts_with(b">") && is_from_line(line) => {
                    message.extend_from_slice(&line[1..]);
                }
                Some(message) => message.extend_from_slice(line),
                None => panic!("no From line first"),
            }
        }
        for message in &mut messages {
            assert_eq!(message.pop(), Some(b'\n'), "the empty line at its end");
        }
        messages
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Mailbox");
        property::holds(|u| {
            let _ = std::fs::remove_file(&path);
            let mut texts = Vec::new();
            for _ in 0..u.int_in_range(1..=3)? {
                let mut text = Vec::new();
                for _ in 0..u.int_in_range(0..=6)? {
                    let pieces = [&b"From "[..], b">", b">From me", b"\n", b"\n\n", b"\0\xff"];
                    text.extend_from_slice(u.choose(&pieces)?);
                }
                append(&path, Links::Refused, b"From a@b DATE\n", &message(&text)).unwrap();
                if !text.is_empty() && !text.ends_with(b"\n") {
                    text.push(b'\n');
                }
                texts.push(text);
            }
            assert_eq!(messages(&std::fs::read(&path).unwrap()), texts);
            Ok(())
        });
    }
}
