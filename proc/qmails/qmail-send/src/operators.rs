//! The connections of tools that ask about the queue or want something of it:
//! sockets and bytes only. None of them is ever waited for.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use os::account::Identity;
use os::signal::Interest;
use wire::frame::{self, Decoder};
use wire::operator::{Answer, Question, VERSION};

/// In the queue's directory, which is the current one.
const SOCKET: &str = "hold/socket";
/// Only the queue's own user and root may connect.
const SOCKET_MODE: u32 = 0o600;
/// Tools at once; the one that is here longest makes room for another.
const CONNECTIONS_MAX: usize = 8;
/// Answers that were not read yet; a tool that asks on without reading goes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 16 * 1024;

/// All of them, and where they connect.
#[derive(Debug, Default)]
pub struct Operators {
    listener: Option<UnixListener>,
    connections: Vec<Connection>,
}

/// One tool.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Who it runs as.
    pub uid: u32,
    decoder: Decoder,
    output: Vec<u8>,
    is_open: bool,
}

impl Operators {
    /// Listens in the current directory.
    pub fn listen() -> io::Result<Self> {
        let listener = os::socket::listen(Path::new(SOCKET), SOCKET_MODE)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: Some(listener),
            connections: Vec::new(),
        })
    }

    /// What to wait for.
    pub fn waits(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        let listener = self.listener.iter();
        let listener = listener.map(|listener| (listener.as_fd(), Interest::Read));
        let connections = self.connections.iter().map(|connection| {
            let interest = match connection.output.is_empty() {
                true => Interest::Read,
                false => Interest::Write,
            };
            (connection.stream.as_fd(), interest)
        });
        listener.chain(connections)
    }

    /// Takes who connected, reads and writes what can be. The connections are
    /// handed out to be asked for questions; give them back afterwards.
    pub fn take(&mut self) -> Vec<Connection> {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) {
            if let Ok(Some(connection)) = Connection::new(stream) {
                if self.connections.len() == CONNECTIONS_MAX {
                    self.connections.remove(0);
                }
                self.connections.push(connection);
            }
        }
        let mut connections = std::mem::take(&mut self.connections);
        for connection in &mut connections {
            connection.write_on();
            connection.read_on();
        }
        connections
    }

    /// Takes the connections back and forgets those that ended.
    pub fn give_back(&mut self, connections: Vec<Connection>) {
        self.connections = connections;
        self.connections.retain(|connection| connection.is_open);
    }
}

impl Connection {
    /// `None` for a stranger.
    fn new(stream: UnixStream) -> io::Result<Option<Self>> {
        stream.set_nonblocking(true)?;
        let uid = os::socket::peer(&stream)?.uid;
        let is_known = uid == 0 || uid == Identity::of_this_process().uid;
        Ok(is_known.then(|| Self {
            stream,
            uid,
            decoder: Decoder::default(),
            output: Vec::new(),
            is_open: true,
        }))
    }

    /// The next question that arrived in full, when the answer to the last
    /// one is read.
    pub fn question(&mut self) -> Option<Question> {
        if !self.output.is_empty() {
            return None;
        }
        match self.decoder.next(VERSION) {
            Ok(question) => question,
            Err(_) => {
                self.is_open = false;
                None
            }
        }
    }

    /// Answers; what the tool does not read now is kept.
    pub fn answer(&mut self, answer: &Answer) {
        match frame::encode(VERSION, answer) {
            Ok(bytes) => self.output.extend_from_slice(&bytes),
            Err(_) => self.is_open = false,
        }
        self.write_on();
    }

    fn write_on(&mut self) {
        while self.is_open && !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => {
                    self.output.drain(..length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_open = false,
            }
        }
    }

    fn read_on(&mut self) {
        let mut buffer = [0; READ_BYTES];
        let mut total = 0;
        while self.is_open && total < OUTPUT_BYTES_MAX {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(length) => {
                    total += length;
                    self.decoder.push(&buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_open = false,
            }
        }
    }
}
