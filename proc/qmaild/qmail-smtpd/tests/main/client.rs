//! A client that says lines and reads replies, over TLS when asked.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tls::rustls::{ClientConnection, StreamOwned};

pub struct Client {
    stream: Option<Stream>,
    heard: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(90)))
            .unwrap();
        Self {
            stream: Some(Stream::Plain(stream)),
            heard: Vec::new(),
        }
    }

    /// Connects, is greeted and says EHLO.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        assert!(client.reply().starts_with("220 mx.test"));
        assert!(client.say("EHLO client.test").starts_with("250"));
        client
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let done = match self.stream.as_mut().unwrap() {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Secure(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        done.unwrap();
    }

    /// Says a line and reads the reply.
    pub fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// The next whole reply; empty when the server has closed.
    pub fn reply(&mut self) -> String {
        loop {
            if let Some(end) = self.end_of_reply() {
                let reply = self.heard.drain(..end).collect();
                return String::from_utf8(reply).unwrap();
            }
            let mut buffer = [0; 4096];
            match self.read(&mut buffer) {
                Ok(0) => return String::new(),
                Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return String::new();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn secure(&mut self) {
        let Some(Stream::Plain(stream)) = self.stream.take() else {
            panic!("secure already");
        };
        let config = tls::client_config(tls::Verify::None).unwrap();
        let name = "mx.test".try_into().unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        let stream = StreamOwned::new(connection, stream);
        self.stream = Some(Stream::Secure(Box::new(stream)));
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.as_mut().unwrap() {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Secure(stream) => stream.read(buffer),
        }
    }

    /// Where a line ends whose fourth byte is a blank.
    fn end_of_reply(&self) -> Option<usize> {
        let mut start = 0;
        loop {
            let end = start + self.heard[start..].windows(2).position(|p| p == b"\r\n")? + 2;
            if self.heard.get(start + 3) == Some(&b' ') {
                return Some(end);
            }
            start = end;
        }
    }
}
