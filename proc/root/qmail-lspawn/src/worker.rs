//! The connection to the delivery worker of virtual users
//! (`wire::deliver`): many deliveries at once, none of them waited for.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use os::signal::Interest;
use wire::deliver::{Report, Request, VERSION};
use wire::frame::{self, Decoder};

const READ_BYTES: usize = 16 * 1024;

/// A request on its way; its message goes with its first byte.
#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    sent: usize,
    message: File,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    outgoing: VecDeque<Outgoing>,
    /// Slots by the number of the delivery.
    running: BTreeMap<u64, u16>,
}

/// The worker, connected or not.
#[derive(Debug)]
pub struct Worker {
    path: PathBuf,
    connection: Option<Connection>,
    deliveries: u64,
}

/// How a delivery in a slot ended.
#[derive(Debug)]
pub enum Answer {
    /// The worker did it.
    Done(u16, Report),
    /// The worker went away; nobody knows how far it got.
    Lost(u16),
}

impl Worker {
    /// The worker behind a socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            path: socket.to_owned(),
            connection: None,
            deliveries: 0,
        }
    }

    /// Hands a delivery over. Gives the message back when nobody listens.
    pub fn deliver(&mut self, slot: u16, mut request: Request, message: File) -> Result<(), File> {
        self.forget_idle_connection_that_ended();
        if self.connection.is_none() {
            self.connection = self.connect().ok();
        }
        let Some(connection) = &mut self.connection else {
            return Err(message);
        };
        self.deliveries += 1;
        request.delivery = self.deliveries;
        let Ok(frame) = frame::encode(VERSION, &request) else {
            return Err(message);
        };
        connection.running.insert(request.delivery, slot);
        connection.outgoing.push_back(Outgoing {
            frame,
            sent: 0,
            message,
        });
        // Most go at once; what does not, and a connection that broke, is
        // seen to by the next turn.
        let _ = connection.send();
        Ok(())
    }

    /// A worker that was restarted while it had nothing to do costs no
    /// delivery a deferral.
    fn forget_idle_connection_that_ended(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.running.is_empty()
            && connection.receive(&mut Vec::new()).is_err()
        {
            self.connection = None;
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        let stream = UnixStream::connect(&self.path)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            decoder: Decoder::default(),
            outgoing: VecDeque::new(),
            running: BTreeMap::new(),
        })
    }

    /// What to wait for.
    pub fn wait(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let connection = self.connection.as_ref()?;
        let interest = if connection.outgoing.is_empty() {
            Interest::Read
        } else {
            Interest::Both
        };
        Some((connection.stream.as_fd(), interest))
    }

    /// Moves bytes both ways; the deliveries that ended. When the connection
    /// breaks, all of its deliveries are lost.
    pub fn ready(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        let Some(connection) = &mut self.connection else {
            return answers;
        };
        let result = connection
            .send()
            .and_then(|()| connection.receive(&mut answers));
        if result.is_err()
            && let Some(connection) = self.connection.take()
        {
            answers.extend(connection.running.into_values().map(Answer::Lost));
        }
        answers
    }
}

impl Connection {
    fn send(&mut self) -> io::Result<()> {
        while let Some(request) = self.outgoing.front_mut() {
            let rest = &request.frame[request.sent..];
            let message = (request.sent == 0).then(|| request.message.as_fd());
            match os::socket::send_with_fd(&self.stream, rest, message) {
                Ok(length) => request.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if request.sent == request.frame.len() {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    fn receive(&mut self, answers: &mut Vec<Answer>) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.decoder.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            while let Some(report) = self
                .decoder
                .next::<Report>(VERSION)
                .map_err(io::Error::other)?
            {
                // A report for a delivery that does not run changes nothing.
                if let Some(slot) = self.running.remove(&report.delivery) {
                    answers.push(Answer::Done(slot, report));
                }
            }
        }
    }
}
