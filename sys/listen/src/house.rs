//! Takes clients in, as many as there is room for, until SIGTERM.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Place, Places};

/// How long to wait when a connection cannot be accepted, most likely because
/// there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client that is turned away may take to hear why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections that are told at once that there is no room; further ones are
/// just closed.
const REFUSALS_MAX: usize = 64;

/// What becomes of a client when all places are taken.
#[derive(Clone, Copy, Debug)]
pub enum Full {
    /// It waits until somebody leaves, all but the first in the kernel.
    Wait,
    /// It is told this and turned away.
    Refuse(&'static [u8]),
}

/// A daemon that is about to take clients in.
#[derive(Debug)]
pub struct House {
    /// For log lines.
    pub program: &'static str,
    /// How many sessions at once.
    pub places: Arc<Places>,
    /// What becomes of one more.
    pub full: Full,
    /// Becomes true on SIGTERM.
    pub stop: watch::Sender<bool>,
    /// How long sessions may take to end after that.
    pub farewell: Duration,
}

/// A client that got a place.
#[derive(Debug)]
pub struct Guest {
    /// Its connection.
    pub stream: TcpStream,
    /// Its address; an IPv4 address is one, however it came.
    pub peer: SocketAddr,
    /// What it occupies; not yet counted for its address.
    pub place: Place,
    /// Becomes true when the session should end.
    pub stop: watch::Receiver<bool>,
}

impl House {
    /// Serves until SIGTERM or SIGINT, each client in a task of its own.
    pub async fn serve<F, S>(self, listeners: Vec<TcpListener>, session: F) -> io::Result<()>
    where
        F: Fn(Guest) -> S + Clone + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let house = Arc::new(self);
        let refusals = Places::new(REFUSALS_MAX);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (house, refusals) = (Arc::clone(&house), Arc::clone(&refusals));
            accepting.spawn(house.accept(listener, refusals, session.clone()));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        accepting.shutdown().await;
        house.stop.send_replace(true);
        let _ = tokio::time::timeout(house.farewell, house.places.all_free()).await;
        Ok(())
    }

    async fn accept<F, S>(
        self: Arc<Self>,
        listener: tokio::net::TcpListener,
        refusals: Arc<Places>,
        session: F,
    ) where
        F: Fn(Guest) -> S,
        S: Future<Output = ()> + Send + 'static,
    {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    run::warn(self.program, &format!("cannot accept: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = match self.full {
                Full::Wait => self.places.wait().await,
                Full::Refuse(_) => self.places.take(),
            };
            if let Some(place) = place {
                tokio::spawn(session(Guest {
                    stream,
                    peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
                    place,
                    stop: self.stop.subscribe(),
                }));
            } else if let (Full::Refuse(text), Some(place)) = (self.full, refusals.take()) {
                tokio::spawn(async move {
                    turn_away(stream, text).await;
                    drop(place);
                });
            }
        }
    }
}

impl Guest {
    /// Says why, and closes; the place is free at once.
    pub async fn turn_away(self, text: &[u8]) {
        let Self { stream, place, .. } = self;
        drop(place);
        turn_away(stream, text).await;
    }
}

async fn turn_away(mut stream: TcpStream, text: &[u8]) {
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, stream.write_all(text)).await;
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::open::bind_all;

    fn house(places: usize, full: Full) -> House {
        House {
            program: "test",
            places: Places::new(places),
            full,
            stop: watch::channel(false).0,
            farewell: Duration::ZERO,
        }
    }

    async fn said_to(address: SocketAddr) -> String {
        let mut text = String::new();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn clients_of_both_families_get_in_one_after_the_other() {
        let address = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        let mut sockets = bind_all("test", &[address("0.0.0.0", 0)]).unwrap();
        let port = sockets[0].local_addr().unwrap().port();
        let more = [address("0.0.0.0", 0), address("::", port)];
        sockets.extend(bind_all("test", &more).unwrap());
        // One place, three listeners: none keeps it while nobody comes.
        let serving = tokio::spawn(house(1, Full::Wait).serve(sockets, |guest| async move {
            let Guest {
                mut stream,
                peer,
                place,
                ..
            } = guest;
            let text = peer.ip().to_string();
            let _ = stream.write_all(text.as_bytes()).await;
            drop((stream, place));
        }));
        for _ in 0..3 {
            assert_eq!(said_to(address("127.0.0.1", port)).await, "127.0.0.1");
            // A host without IPv6 has one listener less.
            if std::net::TcpStream::connect(("::1", port)).is_ok() {
                assert_eq!(said_to(address("::1", port)).await, "::1");
            }
        }
        serving.abort();
    }

    #[tokio::test]
    async fn one_too_many_is_told_so() {
        let local = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0);
        let sockets = bind_all("test", &[local]).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let house = house(1, Full::Refuse(b"no"));
        let serving = tokio::spawn(house.serve(sockets, |guest| async move {
            let Guest {
                mut stream, place, ..
            } = guest;
            let _ = stream.write_all(b"yes").await;
            // Until the client leaves.
            let _ = stream.read(&mut [0]).await;
            drop(place);
        }));
        let mut first = TcpStream::connect(address).await.unwrap();
        first.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(said_to(address).await, "no");
        serving.abort();
    }
}
