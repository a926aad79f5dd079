//! The queue's files as qmail-send sees them: what waits at the start, what
//! is open, when things are due.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use queue::{Info, Layout, OwnedRecord, RecordReader};
use schedule::{Backlog, Channel, Scheduler};
use wire::todo::Single;
use wire::trace::TraceId;

/// A message on a channel while its job lasts.
#[derive(Debug)]
pub struct OpenMessage {
    /// Its number.
    pub id: u64,
    /// What `info` says.
    pub info: Info,
    /// Its trace, if it has one.
    pub trace: Option<TraceId>,
    /// Its recipients; closed when they are all read.
    pub recipients: Recipients,
    /// It has no files but its envelope in `todo`.
    pub is_single: bool,
}

/// Where the recipients of a job come from.
#[derive(Debug)]
pub enum Recipients {
    /// The file of a channel.
    File(RecordReader),
    /// The only one.
    One(Vec<u8>),
    /// They are all read.
    End,
}

impl Recipients {
    /// The next one that is not done.
    pub fn next(&mut self) -> io::Result<Option<OwnedRecord>> {
        match std::mem::replace(self, Self::End) {
            Self::File(mut reader) => {
                let next = reader.next_recipient();
                if let Ok(Some(_)) = next {
                    *self = Self::File(reader);
                }
                next
            }
            Self::One(data) => Ok(Some(OwnedRecord {
                kind: b'T',
                data,
                offset: 0,
            })),
            Self::End => Ok(None),
        }
    }
}

impl OpenMessage {
    /// Opens the recipients of a message on a channel; `None` when it has
    /// none there any more.
    pub fn open(layout: &Layout, channel: Channel, id: u64) -> io::Result<Option<Self>> {
        let recipients = match RecordReader::open(&recipients(layout, channel, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let info = Info::read(&layout.info(id))?;
        Ok(Some(Self {
            id,
            trace: TraceId::from_headers(&info.env_headers),
            info,
            recipients: Recipients::File(recipients),
            is_single: false,
        }))
    }

    /// A message that qmail-todo told in full.
    pub fn single(single: Single) -> Self {
        Self {
            id: single.id,
            trace: TraceId::from_headers(&single.env_headers),
            info: Info {
                sender: single.sender,
                extra_headers: single.extra_headers,
                env_headers: single.env_headers,
                birth: single.birth,
            },
            recipients: Recipients::One(single.recipient),
            is_single: true,
        }
    }
}

/// The file of recipients on a channel.
pub fn recipients(layout: &Layout, channel: Channel, id: u64) -> PathBuf {
    match channel {
        Channel::Local => layout.local(id),
        Channel::Remote => layout.remote(id),
    }
}

/// The name of that file as the log has it.
pub fn name(layout: &Layout, channel: Channel, id: u64) -> String {
    format!("{channel}/{}", layout.mess_relative(id))
}

/// Says whether a file exists; an error is neither yes nor no.
pub fn exists(path: &Path) -> io::Result<bool> {
    Ok(mtime(path)?.is_some())
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn mtime(path: &Path) -> io::Result<Option<i64>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.mtime())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists every preprocessed message; the directories that cannot be read, when
/// there are any.
pub fn backlog(layout: &Layout) -> Result<Backlog, Vec<String>> {
    let mut problems = Vec::new();
    let mut list = |name| {
        let mut ids = Vec::new();
        for directory in layout.directories(name) {
            if let Err(error) = list_into(&mut ids, &directory) {
                problems.push(format!("{}: {error}", directory.display()));
            }
        }
        ids
    };
    let (todo, info) = (list("todo"), list("info"));
    match problems.is_empty() {
        true => Ok(Backlog::new(info, todo)),
        false => Err(problems),
    }
}

fn list_into(ids: &mut Vec<u64>, directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        ids.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(())
}

/// Gives a message to the scheduler: due when the mtimes of its files say.
pub fn load(
    layout: &Layout,
    backlog: &Backlog,
    scheduler: &mut Scheduler,
    id: u64,
    now: i64,
) -> io::Result<()> {
    let mut found = Vec::new();
    for channel in Channel::ALL {
        found.extend(mtime(&recipients(layout, channel, id))?.map(|due| (channel, due)));
    }
    if found.is_empty() {
        scheduler.finish(id, now);
    }
    for (channel, due) in found {
        scheduler.add(channel, id, backlog.due(channel, due));
    }
    Ok(())
}

/// Writes down when a message is due, for the next start.
pub fn remember_due(layout: &Layout, channel: Channel, id: u64, due: i64) -> io::Result<()> {
    let path = recipients(layout, channel, id);
    let time = TimeSpec::new(due, 0);
    match utimensat(AT_FDCWD, &path, &time, &time, UtimensatFlags::FollowSymlink) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schedule::Step;

    fn queue() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        (directory, Layout::detect(root).unwrap())
    }

    #[test]
    fn a_restart_finds_what_waits_and_when_it_is_due() {
        let (_directory, layout) = queue();
        for id in [1, 2, 3] {
            std::fs::write(layout.info(id), b"Fann@x\0").unwrap();
        }
        std::fs::write(layout.remote(1), b"Tb@y\0").unwrap();
        std::fs::write(layout.todo(3), b"").unwrap();
        remember_due(&layout, Channel::Remote, 1, 5_000).unwrap();
        remember_due(&layout, Channel::Local, 1, 5_000).unwrap();
        let mut scheduler = Scheduler::new([1, 1]);
        let mut backlog = backlog(&layout).unwrap();
        while let Some(id) = backlog.take() {
            load(&layout, &backlog, &mut scheduler, id, 4_000).unwrap();
        }
        assert_eq!(
            scheduler.waiting(Channel::Remote).collect::<Vec<_>>(),
            [(1, 5_000)]
        );
        assert_eq!(scheduler.step(4_000), Some(Step::Finish { id: 2 }));
        assert_eq!(scheduler.step(4_000), None);
    }

    #[test]
    fn a_message_without_recipients_on_a_channel_is_not_trouble() {
        let (_directory, layout) = queue();
        assert!(
            OpenMessage::open(&layout, Channel::Local, 7)
                .unwrap()
                .is_none()
        );
        std::fs::write(layout.local(7), b"Ta@b\0").unwrap();
        assert!(OpenMessage::open(&layout, Channel::Local, 7).is_err());
    }
}
