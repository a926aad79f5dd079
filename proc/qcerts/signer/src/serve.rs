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
use crate::dkim::DkimKeys;
use crate::keys::Keys;

/// Most connections at once; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Which users may have what signed.
#[derive(Clone, Debug)]
pub struct Askers {
    /// Handshakes.
    pub tls: Vec<u32>,
    /// Mail.
    pub dkim: Vec<u32>,
}

/// All keys.
#[derive(Debug)]
pub struct All {
    /// Of certificates.
    pub keys: Keys,
    /// Of domains.
    pub dkim: DkimKeys,
}

/// What one user may ask for.
#[derive(Clone, Copy, Debug)]
struct Rights {
    tls: bool,
    dkim: bool,
}

/// Answers until SIGTERM. The sandbox is closed already; threads inherit it.
pub fn forever(
    listener: &UnixListener,
    socket: &Path,
    askers: &Askers,
    keys: All,
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
            Ok((stream, _)) => admit(stream, socket, askers, &keys, &open),
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
    askers: &Askers,
    keys: &Arc<All>,
    open: &Arc<AtomicUsize>,
) {
    let rights = match os::socket::peer(&stream) {
        Ok(peer) if askers.tls.contains(&peer.uid) || askers.dkim.contains(&peer.uid) => Rights {
            tls: askers.tls.contains(&peer.uid),
            dkim: askers.dkim.contains(&peer.uid),
        },
        Ok(peer) => {
            let text = format!("user {} may not ask (pid {})", peer.uid, peer.pid);
            run::warn(PROGRAM, &text);
            return;
        }
        Err(_) => return,
    };
    let (keys, path) = (Arc::clone(keys), socket.to_owned());
    let place = Place::take(open);
    let thread = std::thread::Builder::new().spawn(move || {
        converse(stream, path, &keys, rights);
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

fn converse(stream: UnixStream, path: PathBuf, keys: &All, rights: Rights) {
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
        if link.send(&answer(keys, rights, &request)).is_err() {
            return;
        }
    }
}

fn answer(all: &All, rights: Rights, request: &Request) -> Reply {
    let may = match request {
        Request::Describe { .. } | Request::Sign { .. } => rights.tls,
        Request::DkimKey { .. } | Request::DkimSign { .. } => rights.dkim,
    };
    if !may {
        return Reply::Refused("your user may not ask for this".to_owned());
    }
    let refused = |error: tls::Error| Reply::Refused(error.to_string());
    match request {
        Request::Describe { key } => all
            .keys
            .find(key)
            .map_or_else(refused, |key| key.describe()),
        Request::Sign {
            key,
            scheme,
            message,
        } => {
            let found = all.keys.find(key);
            found.map_or_else(refused, |key| key.sign(*scheme, message))
        }
        Request::DkimKey { domain } => all.dkim.selector(domain),
        Request::DkimSign {
            domain,
            selector,
            message,
        } => all.dkim.sign(domain, selector, message),
    }
}
