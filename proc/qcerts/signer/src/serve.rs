//! Connections: one thread each, few and short.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use os::signal::{Interest, Signal, Signals, poll};
use run::Link;
use wire::sign::{Reply, Request, VERSION};

use crate::PROGRAM;
use crate::keys::Keys;

/// Most connections at once; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Answers until SIGTERM. The sandbox is closed already; threads inherit it.
pub fn forever(
    listener: &UnixListener,
    socket: &Path,
    allowed: &[u32],
    keys: Keys,
) -> io::Result<u8> {
    let keys = Arc::new(keys);
    let open = Arc::new(AtomicUsize::new(0));
    let mut signals = Signals::collect(&[Signal::SIGTERM, Signal::SIGINT])?;
    listener.set_nonblocking(true)?;
    loop {
        let full = CONNECTIONS_MAX <= open.load(Ordering::Acquire);
        let waits = [
            (signals.as_fd(), Interest::Read),
            (listener.as_fd(), Interest::Read),
        ];
        // A full house looks again soon whether somebody left.
        let (waits, timeout) = match full {
            true => (&waits[..1], Some(Duration::from_millis(20))),
            false => (&waits[..], None),
        };
        poll(waits, timeout)?;
        if signals.take().is_some() {
            return Ok(0);
        }
        if full {
            continue;
        }
        match listener.accept() {
            Ok((stream, _)) => admit(stream, socket, allowed, &keys, &open),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                run::warn(PROGRAM, &format!("cannot accept: {error}"));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn admit(
    stream: UnixStream,
    socket: &Path,
    allowed: &[u32],
    keys: &Arc<Keys>,
    open: &Arc<AtomicUsize>,
) {
    match os::socket::peer(&stream) {
        Ok(peer) if allowed.contains(&peer.uid) => {}
        Ok(peer) => {
            let text = format!("user {} may not ask (pid {})", peer.uid, peer.pid);
            run::warn(PROGRAM, &text);
            return;
        }
        Err(_) => return,
    }
    let (keys, path) = (Arc::clone(keys), socket.to_owned());
    let place = Place::take(open);
    let thread = std::thread::Builder::new().spawn(move || {
        converse(stream, path, &keys);
        drop(place);
    });
    if let Err(error) = thread {
        run::warn(PROGRAM, &format!("cannot start a thread: {error}"));
    }
}

/// One of the connections; leaves its place when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn converse(stream: UnixStream, path: PathBuf, keys: &Keys) {
    let timeouts = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(SILENCE_MAX)))
        .and_then(|()| stream.set_write_timeout(Some(SILENCE_MAX)));
    if timeouts.is_err() {
        return;
    }
    let mut link = Link::accepted(stream, &path, VERSION);
    // A peer that breaks off or talks nonsense is simply left.
    while let Ok(Some(request)) = link.receive() {
        if link.send(&answer(keys, &request)).is_err() {
            return;
        }
    }
}

fn answer(keys: &Keys, request: &Request) -> Reply {
    let (Request::Describe { key: name } | Request::Sign { key: name, .. }) = request;
    match (keys.find(name), request) {
        (Err(error), _) => Reply::Refused(error.to_string()),
        (Ok(key), Request::Describe { .. }) => key.describe(),
        (
            Ok(key),
            Request::Sign {
                scheme, message, ..
            },
        ) => key.sign(*scheme, message),
    }
}
