//! The queue's files as qmail-send sees them: what is open, when things are
//! due.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use queue::{Info, Layout, OwnedRecord, RecordReader, recipients};
use schedule::Channel;
use wire::dsn::Dsn;
use wire::todo::Single;
use wire::trace::TraceId;

use crate::daemon::Told;

/// Bit of the mode of `local/N` and `remote/N`: the delay was told. Nobody
/// executes these files.
const DELAY_TOLD: u32 = 0o100;

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
    /// What its sender wants to be told.
    pub dsn: Dsn,
    /// What there is to tell.
    pub told: Vec<Told>,
    /// A delay is to be told in this try.
    pub tells_delay: bool,
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
    /// none there any more. A delay is told when the message came before
    /// `delayed_since`, once.
    pub fn open(
        layout: &Layout,
        channel: Channel,
        id: u64,
        delayed_since: i64,
    ) -> io::Result<Option<Self>> {
        let recipients = match RecordReader::open(&recipients(layout, channel, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let info = Info::read(&layout.info(id))?;
        let dsn = Dsn::from_headers(&info.env_headers);
        let tells_delay = !dsn.is_empty()
            && info.birth <= delayed_since
            && recipients.file().metadata()?.mode() & DELAY_TOLD == 0;
        Ok(Some(Self {
            id,
            trace: TraceId::from_headers(&info.env_headers),
            info,
            recipients: Recipients::File(recipients),
            is_single: false,
            dsn,
            told: Vec::new(),
            tells_delay,
        }))
    }

    /// A message that qmail-todo told in full.
    pub fn single(single: Single) -> Self {
        Self {
            id: single.id,
            trace: TraceId::from_headers(&single.env_headers),
            dsn: Dsn::from_headers(&single.env_headers),
            info: Info {
                sender: single.sender,
                extra_headers: single.extra_headers,
                env_headers: single.env_headers,
                birth: single.birth,
            },
            recipients: Recipients::One(single.recipient),
            is_single: true,
            told: Vec::new(),
            tells_delay: false,
        }
    }

    /// The `h` record as the delivery to one recipient needs it.
    pub fn env_headers(&self, recipient: &[u8]) -> Vec<u8> {
        match self.dsn.is_empty() {
            true => self.info.env_headers.clone(),
            false => [
                wire::dsn::others(&self.info.env_headers),
                self.dsn.for_delivery(recipient),
            ]
            .concat(),
        }
    }
}

/// The name of the file of recipients on a channel, as the log has it.
pub fn name(layout: &Layout, channel: Channel, id: u64) -> String {
    format!("{channel}/{}", layout.mess_relative(id))
}

/// Writes down that senders were told of the delay: a permission bit of the
/// file of recipients, which leaves its content and its mtime alone.
pub fn mark_delay_told(layout: &Layout, channel: Channel, id: u64) -> io::Result<()> {
    let path = recipients(layout, channel, id);
    let mut permissions = std::fs::metadata(&path)?.permissions();
    permissions.set_mode(permissions.mode() | DELAY_TOLD);
    std::fs::set_permissions(&path, permissions)
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

    #[test]
    fn the_due_time_is_that_of_the_file() {
        let (_directory, layout) = testkit::new_queue();
        std::fs::write(layout.remote(1), b"Tb@y\0").unwrap();
        remember_due(&layout, Channel::Remote, 1, 5_000).unwrap();
        remember_due(&layout, Channel::Local, 1, 5_000).unwrap();
        let file = std::fs::metadata(layout.remote(1)).unwrap();
        assert_eq!(
            file.modified().unwrap(),
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(5_000)
        );
    }

    #[test]
    fn a_message_without_recipients_on_a_channel_is_not_trouble() {
        let (_directory, layout) = testkit::new_queue();
        assert!(
            OpenMessage::open(&layout, Channel::Local, 7, 0)
                .unwrap()
                .is_none()
        );
        std::fs::write(layout.local(7), b"Ta@b\0").unwrap();
        assert!(OpenMessage::open(&layout, Channel::Local, 7, 0).is_err());
    }

    #[test]
    fn a_delay_is_told_once_and_not_too_early() {
        let (_directory, layout) = testkit::new_queue();
        let info = b"Fann@x\0hX-Indimail-Dsn: NOTIFY=DELAY\n\0";
        std::fs::write(layout.info(7), info).unwrap();
        std::fs::write(layout.remote(7), b"Tb@y\0").unwrap();
        remember_due(&layout, Channel::Remote, 7, 5_000).unwrap();
        let birth = std::fs::metadata(layout.info(7)).unwrap().mtime();
        let tells = |since| {
            let open = OpenMessage::open(&layout, Channel::Remote, 7, since).unwrap();
            open.unwrap().tells_delay
        };
        assert!(!tells(birth - 1) && tells(birth));
        mark_delay_told(&layout, Channel::Remote, 7).unwrap();
        assert!(!tells(birth));
        assert_eq!(std::fs::metadata(layout.remote(7)).unwrap().mtime(), 5_000);
    }
}
