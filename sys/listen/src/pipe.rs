//! Frames over Unix sockets to another of our programs, and connections kept
//! from one session to the next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::frame::{self, Decoder};

/// Bytes that wait for others before they are written.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Connections kept while nobody uses them: each costs the other side a
/// thread.
const IDLE_MAX: usize = 16;

/// A connection to another of our programs, as `run::Link`, without blocking.
#[derive(Debug)]
pub struct Pipe {
    stream: UnixStream,
    decoder: Decoder,
    version: u8,
    waiting: Vec<u8>,
}

impl Pipe {
    /// Connects to a socket where this version of a protocol is spoken.
    pub async fn connect(path: &Path, version: u8) -> io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(path).await?,
            decoder: Decoder::default(),
            version,
            waiting: Vec::new(),
        })
    }

    /// The server's end of a connection.
    pub fn accepted(stream: UnixStream, version: u8) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            version,
            waiting: Vec::new(),
        }
    }

    /// Sends one value, and what waits before it.
    pub async fn send<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.push(value)?;
        self.flush().await
    }

    /// Sends one value, with others when there is little to send.
    pub async fn send_soon<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.push(value)?;
        if self.waiting.len() < WAITING_BYTES_MAX {
            return Ok(());
        }
        self.flush().await
    }

    fn push<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let bytes = frame::encode(self.version, value).map_err(io::Error::other)?;
        if self.waiting.is_empty() {
            self.waiting = bytes;
        } else {
            self.waiting.extend_from_slice(&bytes);
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.stream.write_all(&waiting).await
    }

    /// The next value; the end of the connection is an error.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut buffer = [0; 4096];
        loop {
            match self.decoder.next(self.version) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            match self.stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.decoder.push(&buffer[..length]),
            }
        }
    }

    /// Says whether the other side has closed a connection between values.
    pub async fn is_gone(&mut self) -> bool {
        let mut byte = [0; 1];
        let read = self.stream.read(&mut byte);
        // Nothing to read is what a living connection has.
        tokio::time::timeout(Duration::ZERO, read).await.is_ok()
    }
}

/// Connections to one program, for sessions that come and go.
#[derive(Debug)]
pub struct Pipes {
    socket: PathBuf,
    version: u8,
    idle: Mutex<Vec<Pipe>>,
}

impl Pipes {
    /// To a socket where this version of a protocol is spoken.
    pub fn new(socket: PathBuf, version: u8) -> Self {
        Self {
            socket,
            version,
            idle: Mutex::default(),
        }
    }

    /// Where the program listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection that somebody kept; the other side may have left it.
    pub fn idle(&self) -> Option<Pipe> {
        self.list().pop()
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Pipe> {
        Pipe::connect(&self.socket, self.version).await
    }

    /// A connection that lives: one that was kept, else a new one.
    pub async fn take(&self) -> io::Result<Pipe> {
        while let Some(mut pipe) = self.idle() {
            if !pipe.is_gone().await {
                return Ok(pipe);
            }
        }
        self.connect().await
    }

    /// Keeps a connection on which nothing is half said.
    pub fn keep(&self, pipe: Pipe) {
        let mut idle = self.list();
        if idle.len() < IDLE_MAX {
            idle.push(pipe);
        }
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Pipe>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
