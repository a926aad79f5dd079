//! A message under way: recipients that are done, channels that are through,
//! the end (queue-and-delivery.md §4.8, §4.9). The order, once and for all:
//!
//! 1. a failure is appended to `bounce/N` and synced ([`note_failure`]);
//! 2. only then the recipient is marked in place ([`mark_done`]), unless its
//!    file is about to go;
//! 3. with no recipient left, the file of the channel is removed
//!    ([`close_channel`]);
//! 4. with both gone, and what failed bounced, `bounce/N` is removed
//!    ([`forget_failures`]), then `info/N` ([`end`]);
//! 5. then `mess/N` is ([`crate::clean`]), and the number is free.
//!
//! Marks and removals are not synced: one that is lost in a crash costs a
//! delivery that was made before. A crash can also keep them in another order
//! than they were made in; [`crate::load`] sorts that out.

use std::io::{self, Write};
use std::path::PathBuf;

use schedule::Channel;

use crate::files::{mtime, remove};
use crate::{FileSystem, Info, Layout};

/// Appends a paragraph to `bounce/N`. When this fails the recipient must not
/// be marked: nobody would ever hear of its failure.
pub fn note_failure<F: FileSystem>(
    files: &F,
    layout: &Layout,
    id: u64,
    paragraph: &[u8],
) -> io::Result<()> {
    let path = layout.bounce(id);
    let before = match files.status(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        status => status?.bytes,
    };
    let mut file = files.append(&path)?;
    let written = file
        .write_all(paragraph)
        .and_then(|()| files.sync_message(&[&file], path.parent().unwrap_or(&path)));
    if written.is_err() {
        // Nobody knows what of it is on disk: the next try makes the file,
        // or writes these bytes, again, and does not only sync them.
        let _ = match before {
            0 => files.unlink(&path),
            _ => files.truncate(&file, before),
        };
    }
    written
}

/// The failures in a file that a crash may have cut: how many bytes of it
/// there are up to the end of the last whole paragraph. What comes after was
/// never synced.
pub(crate) fn whole_failures(noted: &[u8]) -> usize {
    let end = noted.windows(2).rposition(|pair| pair == b"\n\n");
    end.map_or(0, |end| end + 2)
}

/// Marks the recipient whose record begins at `offset` as done: one byte,
/// written in place and not synced. Losing it in a crash costs a duplicate.
pub fn mark_done<F: FileSystem>(
    files: &F,
    layout: &Layout,
    channel: Channel,
    id: u64,
    offset: u64,
) -> io::Result<()> {
    files.overwrite(&recipients(layout, channel, id), offset, b"D")
}

/// The file of recipients on a channel.
pub fn recipients(layout: &Layout, channel: Channel, id: u64) -> PathBuf {
    match channel {
        Channel::Local => layout.local(id),
        Channel::Remote => layout.remote(id),
    }
}

/// No recipient of a message is left on a channel: removes its file.
pub fn close_channel<F: FileSystem>(
    files: &F,
    layout: &Layout,
    channel: Channel,
    id: u64,
) -> io::Result<()> {
    remove(files, &recipients(layout, channel, id))
}

/// Whether a message has recipients left on a channel; an error is neither
/// yes nor no.
pub fn has_recipients<F: FileSystem>(
    files: &F,
    layout: &Layout,
    channel: Channel,
    id: u64,
) -> io::Result<bool> {
    Ok(mtime(files, &recipients(layout, channel, id))?.is_some())
}

/// What is left to do for a message without recipients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Remainder {
    /// Nothing: it has recipients after all, or it is gone.
    Nothing,
    /// Its end.
    End(Info),
    /// A notice of what failed, and then its end.
    Bounce(Info),
}

/// Finds out what is left to do for a message without recipients.
pub fn remainder<F: FileSystem>(files: &F, layout: &Layout, id: u64) -> io::Result<Remainder> {
    for path in [layout.local(id), layout.remote(id), layout.todo(id)] {
        if mtime(files, &path)?.is_some() {
            return Ok(Remainder::Nothing);
        }
    }
    let info = match Info::read_on(files, &layout.info(id)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remainder::Nothing),
        info => info?,
    };
    Ok(match mtime(files, &layout.bounce(id))? {
        Some(_) => Remainder::Bounce(info),
        None => Remainder::End(info),
    })
}

/// Step 4: the notice of what failed is in the queue.
pub fn forget_failures<F: FileSystem>(files: &F, layout: &Layout, id: u64) -> io::Result<()> {
    remove(files, &layout.bounce(id))
}

/// Step 4: nothing is left to tell. Once `info` is gone only cleaning up is
/// left.
pub fn end<F: FileSystem>(files: &F, layout: &Layout, id: u64) -> io::Result<()> {
    remove(files, &layout.info(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, RecordReader, create};

    #[test]
    fn a_mark_skips_its_recipient_and_moves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path(), None).unwrap();
        let layout = Layout::detect(directory.path()).unwrap();
        let disk = Disk::new();
        std::fs::write(layout.remote(7), b"Ta@b\0Tc@d\0").unwrap();
        let mark = |offset| mark_done(&disk, &layout, Channel::Remote, 7, offset).unwrap();
        mark(0);
        let mut reader = RecordReader::open(&layout.remote(7)).unwrap();
        let record = reader.next_recipient().unwrap().unwrap();
        assert_eq!((record.offset, &record.data[..]), (5, &b"c@d"[..]));
        mark(record.offset);
        assert_eq!(std::fs::read(layout.remote(7)).unwrap(), b"Da@b\0Dc@d\0");
        assert_eq!(reader.next_recipient().unwrap(), None);
    }

    #[test]
    fn only_whole_paragraphs_count() {
        assert_eq!(whole_failures(b""), 0);
        assert_eq!(whole_failures(b"<a@b>:\nno\n"), 0);
        assert_eq!(whole_failures(b"<a@b>:\nno\n\n"), 11);
        assert_eq!(whole_failures(b"<a@b>:\nno\n\n<c@d>:"), 11);
        assert_eq!(whole_failures(b"<a@b>:\nno\n\n\0\0\0"), 11);
    }

    #[test]
    fn failures_are_collected_until_they_are_bounced() {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path(), None).unwrap();
        let layout = Layout::detect(directory.path()).unwrap();
        let disk = Disk::new();
        assert_eq!(remainder(&disk, &layout, 7).unwrap(), Remainder::Nothing);
        std::fs::write(layout.info(7), b"Fann@x\0").unwrap();
        let left = |layout: &Layout| remainder(&disk, layout, 7).unwrap();
        assert!(matches!(left(&layout), Remainder::End(_)));
        note_failure(&disk, &layout, 7, b"<a@b>:\nno\n\n").unwrap();
        note_failure(&disk, &layout, 7, b"<c@d>:\nno\n\n").unwrap();
        assert!(matches!(left(&layout), Remainder::Bounce(_)));
        let noted = std::fs::read(layout.bounce(7)).unwrap();
        assert_eq!(noted, b"<a@b>:\nno\n\n<c@d>:\nno\n\n");
        std::fs::write(layout.local(7), b"Ta@b\0").unwrap();
        assert_eq!(left(&layout), Remainder::Nothing);
        close_channel(&disk, &layout, Channel::Local, 7).unwrap();
        forget_failures(&disk, &layout, 7).unwrap();
        assert!(matches!(left(&layout), Remainder::End(_)));
    }
}
