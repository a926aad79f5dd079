//! What all connections share, and how many there may be.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use os::socket::Peer;
use queue::{Additions, Disk, Durability, Error, Layout, Origins, Queues, Writer};
use run::{Home, Settings, Tracer};
use scanner::companion::Companion;

use crate::{PROGRAM, serve};

/// Connections at once; further ones are turned away, and their programs try
/// again.
const CONNECTIONS_MAX: usize = 1024;
/// Connections at once of a user who is not of the mail system.
const CONNECTIONS_OF_STRANGER_MAX: usize = 32;
/// How long a client may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(1200);
/// The deepest thing a thread does is decoding a frame.
const STACK_BYTES: usize = 256 * 1024;

/// The queues and everything a connection needs to write to them.
pub struct Service {
    pub(crate) writers: Vec<Writer<Disk>>,
    pub(crate) additions: Additions,
    pub(crate) origins: Origins,
    pub(crate) tracer: Tracer,
    pub(crate) host: String,
    /// Scans messages, when they are to be scanned.
    pub(crate) companion: Option<Companion>,
    socket: PathBuf,
    activity: Mutex<Activity>,
    quiet: Condvar,
}

#[derive(Debug, Default)]
struct Activity {
    connections: usize,
    of_user: HashMap<u32, usize>,
    syncs: usize,
    ending: bool,
}

impl Service {
    /// Opens all queues.
    pub fn open(home: &Home, settings: &Settings, queues: &Queues) -> Result<Self, Error> {
        let durability = Durability::configured(settings)?;
        let bytes_free_min = queue::bytes_free_min(settings)?;
        let open = |path: &PathBuf| {
            let writer = Writer::new(Layout::detect(path)?, disk(path)?, durability);
            Ok(writer.with_bytes_free_min(bytes_free_min))
        };
        let writers = queues
            .directories()
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, Error>>()?;
        let host = settings.line(&settings::site::ME)?;
        Ok(Self {
            origins: Origins::find(home, writers[0].layout())?,
            additions: Additions::configured(settings)?,
            tracer: Tracer::connect(home, PROGRAM),
            host: host
                .and_then(|name| String::from_utf8(name).ok())
                .unwrap_or_else(os::account::host_name),
            socket: home.socket("queue"),
            writers,
            companion: None,
            activity: Mutex::default(),
            quiet: Condvar::new(),
        })
    }

    /// Serves a connection in a thread of its own, or closes it when there
    /// are too many.
    pub fn take_on(self: &Arc<Self>, stream: UnixStream) {
        let Ok(peer) = os::socket::peer(&stream) else {
            return;
        };
        if !self.enter(peer) {
            run::warn(
                PROGRAM,
                &format!("too many connections; turned away uid {}", peer.uid),
            );
            return;
        }
        let service = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Counts down even when serving panics.
                let _place = Place {
                    service: &service,
                    peer,
                };
                let timeouts = stream
                    .set_nonblocking(false)
                    .and_then(|()| stream.set_read_timeout(Some(SILENCE_MAX)))
                    .and_then(|()| stream.set_write_timeout(Some(SILENCE_MAX)));
                if timeouts.is_ok() {
                    serve::serve(&service, stream, peer);
                }
            });
        if let Err(error) = thread {
            self.leave(peer);
            run::warn(PROGRAM, &format!("cannot start a thread: {error}"));
        }
    }

    /// The socket's path, for messages.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Does the last, slow part of a message. While it runs the program does
    /// not end; when the program is ending it does not start.
    pub fn sync<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        {
            let mut activity = self.activity();
            if activity.ending {
                return None;
            }
            activity.syncs += 1;
        }
        let result = work();
        let mut activity = self.activity();
        activity.syncs -= 1;
        if activity.ending {
            self.quiet.notify_all();
        }
        drop(activity);
        Some(result)
    }

    /// Waits until no message is being synced; no other will be.
    pub fn wait_for_syncs(&self, wait_max: Duration) {
        let mut activity = self.activity();
        activity.ending = true;
        let _ = self
            .quiet
            .wait_timeout_while(activity, wait_max, |activity| 0 < activity.syncs);
    }

    fn enter(&self, peer: Peer) -> bool {
        let mut activity = self.activity();
        let of_user = activity.of_user.get(&peer.uid).copied().unwrap_or(0);
        if CONNECTIONS_MAX <= activity.connections
            || (CONNECTIONS_OF_STRANGER_MAX <= of_user && !self.origins.trusts(peer.uid))
        {
            return false;
        }
        activity.connections += 1;
        activity.of_user.insert(peer.uid, of_user + 1);
        true
    }

    fn leave(&self, peer: Peer) {
        let mut activity = self.activity();
        activity.connections -= 1;
        if let Some(count) = activity.of_user.get_mut(&peer.uid) {
            *count -= 1;
            if *count == 0 {
                activity.of_user.remove(&peer.uid);
            }
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        // Counters stay true even when a thread panicked.
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place<'a> {
    service: &'a Service,
    peer: Peer,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.service.leave(self.peer);
    }
}

/// The threads of all connections share their syncs.
fn disk(queue: &Path) -> Result<Disk, Error> {
    Disk::shared(queue).map_err(|source| Error::Write {
        path: queue.to_owned(),
        source,
    })
}
