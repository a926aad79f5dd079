//! Talking to the qmail-send of a queue, and working on a queue that has none.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use os::beneath::Access;
use os::file::Lock;
use run::LinkError;
use wire::operator::{Answer, Question, VERSION, Waiting};

use crate::Layout;

/// qmail-send answers at once, between two steps.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Neither root nor the user of the queue.
    #[error("{path} is not for this user; run this as root or as the owner of the queue")]
    Permission {
        /// Of the queue.
        path: PathBuf,
    },
    /// It does not answer, or strangely.
    #[error("qmail-send does not answer")]
    Link(#[from] LinkError),
    /// It did not do it.
    #[error("qmail-send says: {0}")]
    Failed(String),
    /// A file cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl run::Fatal for OperatorError {}

/// A connection to the qmail-send of a queue.
#[derive(Debug)]
pub struct Operator(run::Link);

impl Operator {
    /// Connects; `None` when no qmail-send listens.
    pub fn connect(layout: &Layout) -> Result<Option<Self>, OperatorError> {
        let path = layout.root().join("hold/socket");
        match run::Link::connect(&path, VERSION, TIMEOUT) {
            Ok(link) => Ok(Some(Self(link))),
            Err(LinkError::Io { source, .. }) => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                io::ErrorKind::PermissionDenied => Err(OperatorError::Permission { path }),
                _ => Err(OperatorError::Io { path, source }),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for anything but [`Question::Waiting`].
    pub fn ask(&mut self, question: &Question) -> Result<Answer, OperatorError> {
        match self.0.ask(question)? {
            Answer::Failed(text) => Err(OperatorError::Failed(text)),
            answer => Ok(answer),
        }
    }

    /// All messages that wait.
    pub fn waiting(&mut self) -> Result<Vec<Waiting>, OperatorError> {
        let mut all = Vec::new();
        let mut answer: Answer = self.0.ask(&Question::Waiting)?;
        loop {
            match answer {
                Answer::Waiting(some) if some.is_empty() => return Ok(all),
                Answer::Waiting(some) => all.extend(some),
                _ => return Err(OperatorError::Failed("something else".to_owned())),
            }
            answer = self
                .0
                .receive()?
                .ok_or_else(|| OperatorError::Failed("not everything".to_owned()))?;
        }
    }
}

/// Takes the lock of qmail-send, so that none can start; `None` when one
/// runs.
pub fn lock_out_senders(layout: &Layout) -> Result<Option<Lock>, OperatorError> {
    let path = layout.lock("sendmutex");
    let unusable = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => OperatorError::Permission { path: path.clone() },
        _ => OperatorError::Io {
            path: path.clone(),
            source,
        },
    };
    // Not created: a file of root's would keep qmail-send out.
    let file = layout
        .open()
        .and_then(|queue| queue.file(layout.name_of(&path), Access::Append))
        .map_err(unusable)?;
    os::file::try_lock(file).map_err(unusable)
}

/// Removes a message from a queue without qmail-send. The bounce goes first,
/// so that no notice is ever sent; the envelope before the text.
pub fn remove_message(layout: &Layout, id: u64, _no_sender: &Lock) -> io::Result<bool> {
    let paths = [
        layout.bounce(id),
        layout.local(id),
        layout.remote(id),
        layout.info(id),
        layout.intd(id),
        layout.todo(id),
        layout.mess(id),
    ];
    let queue = layout.open()?;
    let mut found = false;
    for path in paths {
        match queue.remove_file(layout.name_of(&path)) {
            Ok(()) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("cannot remove {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
    let _ = crate::release_hold(layout, &crate::HoldTarget::Message(id));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_qmail_send_nobody_answers_and_messages_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        crate::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        assert!(Operator::connect(&layout).unwrap().is_none());
        let lock = lock_out_senders(&layout).unwrap().unwrap();
        assert!(lock_out_senders(&layout).unwrap().is_none());
        for path in [layout.mess(24), layout.info(24), layout.bounce(24)] {
            std::fs::write(path, "x").unwrap();
        }
        assert!(remove_message(&layout, 24, &lock).unwrap());
        assert!(!remove_message(&layout, 24, &lock).unwrap());
        assert!(!layout.mess(24).exists() && !layout.bounce(24).exists());
    }

    #[test]
    fn nothing_is_removed_or_locked_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        crate::create(&root, None).unwrap();
        let layout = Layout::detect(&root).unwrap();
        let lock = lock_out_senders(&layout).unwrap().unwrap();
        let victim = directory.path().join("24");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::remove_dir(root.join("bounce")).unwrap();
        std::os::unix::fs::symlink(directory.path(), root.join("bounce")).unwrap();
        assert!(remove_message(&layout, 24, &lock).is_err() && victim.exists());
        std::fs::remove_file(layout.lock("sendmutex")).unwrap();
        std::os::unix::fs::symlink(&victim, layout.lock("sendmutex")).unwrap();
        assert!(lock_out_senders(&layout).is_err());
    }
}
