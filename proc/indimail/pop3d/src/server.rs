//! Accepts connections, as many as there is room for.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::lookup::Lookup;
use crate::options::Mode;
use crate::session;

/// Sessions at once.
const SESSIONS_MAX: usize = 4000;

/// Sessions at once from one address (MAXPERIP of the original).
const SESSIONS_PER_ADDRESS_MAX: usize = 25;

/// How long to wait when a connection cannot be accepted, most likely because
/// there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client that is turned away may take to hear why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// What all sessions share.
pub struct Server {
    pub lookup: Lookup,
    pub tls: Option<tls::TlsAcceptor>,
    pub mode: Mode,
    pub pass: bool,
    /// Sessions by address.
    sessions: Mutex<HashMap<IpAddr, usize>>,
}

/// A place among the sessions, free again when it is dropped.
struct Place {
    server: Arc<Server>,
    address: IpAddr,
}

impl Server {
    /// Makes a server without connections.
    pub fn new(inlookup: PathBuf, tls: Option<tls::TlsAcceptor>, mode: Mode, pass: bool) -> Self {
        Self {
            lookup: Lookup::new(inlookup),
            tls,
            mode,
            pass,
            sessions: Mutex::new(HashMap::new()),
        }
    }

    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accepting.spawn(self.clone().accept(listener));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Dropping the set ends accepting; the runtime cuts the sessions.
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.clone().place(peer.ip()) {
                    Some(place) => {
                        tokio::spawn(async move {
                            session::serve(&place.server, stream, peer).await;
                        });
                    }
                    None => {
                        tokio::spawn(refuse(stream));
                    }
                },
                Err(error) => {
                    run::warn("pop3d", &format!("cannot accept: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn place(self: Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = group(address);
        {
            let mut sessions = self.sessions.lock().ok()?;
            if SESSIONS_MAX <= sessions.values().sum() {
                return None;
            }
            let count = sessions.entry(address).or_insert(0);
            if SESSIONS_PER_ADDRESS_MAX <= *count {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            server: self,
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut sessions) = self.server.sessions.lock()
            && let Some(count) = sessions.get_mut(&self.address)
        {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the network, since a client has 2⁶⁴
/// addresses for the asking.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

async fn refuse(mut stream: TcpStream) {
    let reply = b"-ERR [SYS/TEMP] too many connections, try later\r\n";
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, stream.write_all(reply)).await;
}
