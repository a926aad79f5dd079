//! Connections: who may connect, and a message that comes in pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use listen::Pipe;
use mailauth::{Authenticator, Examined};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use wire::verify::{Reply, Request, VERSION};

use crate::PROGRAM;
use crate::answers;

/// Most connections at once; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 4096;
/// Headers of all messages being examined.
const ALL_BYTES_MAX: usize = 256 << 20;

/// What all connections share.
#[derive(Debug)]
pub struct House {
    authenticator: Authenticator,
    clients: Vec<u32>,
    places: Arc<Semaphore>,
    bytes: AtomicUsize,
}

impl House {
    /// For clients of these users.
    pub fn new(authenticator: Authenticator, clients: Vec<u32>) -> Self {
        Self {
            authenticator,
            clients,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Accepts for ever.
    pub async fn receive(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let house = Arc::clone(&self);
                    tokio::spawn(async move {
                        house.converse(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    run::warn(PROGRAM, &format!("cannot accept: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn examine(&self, message: Examined) -> Reply {
        match self.authenticator.examine(message).await {
            Some(verdict) => Reply::Message(verdict),
            None => Reply::Temporary("examining a message took too long".to_owned()),
        }
    }

    /// Answers one question after the other until the client hangs up.
    async fn converse(&self, stream: UnixStream) {
        match stream.peer_cred() {
            Ok(peer) if self.clients.contains(&peer.uid()) => {}
            Ok(peer) => {
                let text = format!("user {} may not ask", peer.uid());
                run::warn(PROGRAM, &text);
                return;
            }
            Err(_) => return,
        }
        let mut pipe = Pipe::accepted(stream, VERSION);
        let mut message: Option<Held<'_>> = None;
        while let Ok(request) = pipe.receive().await {
            let reply = match request {
                Request::Message(about) => {
                    message = Some(Held::new(&self.bytes, Examined::new(about)));
                    continue;
                }
                Request::Data(bytes) => {
                    if let Some(message) = &mut message {
                        message.push(&bytes);
                    }
                    continue;
                }
                Request::End => match message.take() {
                    Some(mut held) => match held.message.take() {
                        Some(message) => self.examine(message).await,
                        None => Reply::Temporary("too many messages are being examined".into()),
                    },
                    None => return,
                },
                question => answers::answer(&self.authenticator, question).await,
            };
            if let Reply::Temporary(text) = &reply {
                run::warn(PROGRAM, text);
            }
            if pipe.send(&reply).await.is_err() {
                return;
            }
        }
    }
}

/// A message and the memory it has of all; nothing when there was too little.
struct Held<'a> {
    all: &'a AtomicUsize,
    message: Option<Examined>,
    counted: usize,
}

impl<'a> Held<'a> {
    fn new(all: &'a AtomicUsize, message: Examined) -> Self {
        Self {
            all,
            message: Some(message),
            counted: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let Some(message) = &mut self.message else {
            return;
        };
        message.push(bytes);
        let size = message.size();
        if size < self.counted {
            // Its header was too long to be kept.
            self.give_back();
            return;
        }
        let more = size - self.counted;
        self.counted += more;
        let all = self.all.fetch_add(more, Ordering::Relaxed) + more;
        if ALL_BYTES_MAX < all {
            self.message = None;
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.all.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = 0;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}
