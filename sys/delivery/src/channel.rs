//! Frames with descriptors beside them, over a Unix socket.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::frame::{self, Decoder};

/// Most descriptors that wait for the frame they belong to.
const WAITING_MAX: usize = 64;

/// The receiving side. Descriptors come in the order of the frames they
/// belong to, each no later than the first byte of its frame.
pub struct Receiver {
    stream: UnixStream,
    version: u8,
    decoder: Decoder,
    waiting: VecDeque<OwnedFd>,
}

impl Receiver {
    /// Reads frames of this version.
    pub fn new(stream: UnixStream, version: u8) -> Self {
        Self {
            stream,
            version,
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
        }
    }

    /// The next value; `None` when the other side is gone. After an error the
    /// connection is of no use.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.decoder.next(self.version) {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            let received = os::socket::receive_with_fds(&self.stream, &mut buffer);
            let (length, fds) = match received {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if length == 0 {
                return Ok(None);
            }
            self.waiting.extend(fds);
            if WAITING_MAX < self.waiting.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.decoder.push(&buffer[..length]);
        }
    }

    /// The descriptor that came first.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.waiting.pop_front()
    }
}

/// Sends one value with its descriptors.
pub fn send<T: Serialize>(
    mut stream: &UnixStream,
    version: u8,
    value: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = frame::encode(version, value)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let sent = loop {
        match os::socket::send_with_fds(stream.as_fd(), &bytes, fds) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    stream.write_all(&bytes[sent..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn descriptors_arrive_with_their_frames() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut receiver = Receiver::new(there, 1);
        for text in ["one", "two"] {
            let file = crate::memory_file(text.as_bytes()).unwrap();
            send(&here, 1, &text.to_owned(), &[file.as_fd()]).unwrap();
        }
        drop(here);
        for expected in ["one", "two"] {
            let name: String = receiver.receive().unwrap().unwrap();
            let mut content = String::new();
            let mut file = std::fs::File::from(receiver.take_fd().unwrap());
            file.read_to_string(&mut content).unwrap();
            assert_eq!((&name[..], &content[..]), (expected, expected));
        }
        assert!(receiver.receive::<String>().unwrap().is_none());
    }
}
