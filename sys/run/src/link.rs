//! A blocking connection of one of our programs to another: frames over a
//! Unix socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::frame::{self, Decoder, FrameError};

/// Why a question to another of our programs got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens, or the connection broke or timed out.
    #[error("cannot talk to {path}; is its service up?")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The other program says something we do not understand.
    #[error("{path} speaks strangely")]
    Frame {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        source: FrameError,
    },
}

/// A connection with a protocol version.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    version: u8,
    stream: UnixStream,
    decoder: Decoder,
}

impl Link {
    /// Connects; every later read and write waits at most `timeout`.
    pub fn connect(path: &Path, version: u8, timeout: Duration) -> Result<Self, LinkError> {
        let io = |source| LinkError::Io {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).map_err(io)?;
        stream.set_read_timeout(Some(timeout)).map_err(io)?;
        stream.set_write_timeout(Some(timeout)).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            version,
            stream,
            decoder: Decoder::default(),
        })
    }

    /// Wraps the server's end of a connection.
    pub fn accepted(stream: UnixStream, path: &Path, version: u8) -> Self {
        Self {
            path: path.to_owned(),
            version,
            stream,
            decoder: Decoder::default(),
        }
    }

    /// Sends one value.
    pub fn send<T: Serialize>(&mut self, value: &T) -> Result<(), LinkError> {
        let bytes = frame::encode(self.version, value).map_err(|source| self.frame(source))?;
        self.stream
            .write_all(&bytes)
            .map_err(|source| self.io(source))
    }

    /// Waits for the next value; `None` when the other side closed between
    /// two values.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        let mut buffer = [0; 16 * 1024];
        let mut arrived = false;
        loop {
            match self.decoder.next(self.version) {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                Err(source) => return Err(self.frame(source)),
            }
            match self.stream.read(&mut buffer) {
                Ok(0) if arrived => return Err(self.io(io::ErrorKind::UnexpectedEof.into())),
                Ok(0) => return Ok(None),
                Ok(length) => {
                    arrived = true;
                    self.decoder.push(&buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io(source)),
            }
        }
    }

    /// Sends a question and waits for its answer.
    pub fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> Result<A, LinkError> {
        self.send(question)?;
        match self.receive()? {
            Some(answer) => Ok(answer),
            None => Err(self.io(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// The stream, to ask who is on its other side.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    fn io(&self, source: io::Error) -> LinkError {
        LinkError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn frame(&self, source: FrameError) -> LinkError {
        LinkError::Frame {
            path: self.path.clone(),
            source,
        }
    }
}
