//! The client's side of SMTP, as the loads speak it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Connects to a port of this host.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A message of about so many bytes, with the dot that ends it.
pub fn message(number: usize, to: &str, bytes: usize) -> Vec<u8> {
    let mut message = format!(
        "From: sender@bench.invalid\r\nTo: {to}\r\nSubject: message {number}\r\n\
         Message-ID: <{number}@bench.invalid>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
    )
    .into_bytes();
    while message.len() + 72 < bytes {
        message.extend_from_slice(
            b"The quick brown fox jumps over the lazy dog, again and once more today\r\n",
        );
    }
    message.extend_from_slice(b".\r\n");
    message
}

/// A session that has said EHLO.
pub struct Session<S: Read + Write> {
    reader: BufReader<S>,
}

impl<S: Read + Write> Session<S> {
    /// Waits for the greeting and answers it.
    pub fn start(stream: S) -> Self {
        let mut session = Self {
            reader: BufReader::new(stream),
        };
        session.expect("220");
        session.hello();
        session
    }

    /// Goes on over the same connection, now encrypted.
    pub fn secured<T: Read + Write>(mut self, secure: impl FnOnce(S) -> T) -> Session<T> {
        self.send(b"STARTTLS\r\n");
        self.expect("220");
        let mut session = Session {
            reader: BufReader::new(secure(self.reader.into_inner())),
        };
        session.hello();
        session
    }

    fn hello(&mut self) {
        self.send(b"EHLO bench.invalid\r\n");
        self.expect("250");
    }

    /// AUTH PLAIN with this initial response.
    pub fn log_in(&mut self, response: &str) {
        self.send(format!("AUTH PLAIN {response}\r\n").as_bytes());
        self.expect("235");
    }

    /// Pipelined, as every modern sender does (RFC 2920); the time from the
    /// end of the data to its 250.
    pub fn deliver(&mut self, from: &str, recipients: &[&str], message: &[u8]) -> Duration {
        let mut envelope = format!("MAIL FROM:<{from}>\r\n");
        for recipient in recipients {
            envelope += &format!("RCPT TO:<{recipient}>\r\n");
        }
        envelope += "DATA\r\n";
        self.send(envelope.as_bytes());
        (0..=recipients.len()).for_each(|_| self.expect("250"));
        self.expect("354");
        let sent = Instant::now();
        self.send(message);
        self.expect("250");
        sent.elapsed()
    }

    /// A recipient that is refused for good.
    pub fn be_refused(&mut self, recipient: &str) {
        self.send(b"MAIL FROM:<sender@bench.invalid>\r\n");
        self.expect("250");
        self.send(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
        self.expect("550");
    }

    /// Says goodbye and waits for nothing.
    pub fn quit(&mut self) {
        self.send(b"QUIT\r\n");
    }

    fn send(&mut self, bytes: &[u8]) {
        let stream = self.reader.get_mut();
        stream.write_all(bytes).expect("the server reads");
        stream.flush().expect("the server reads");
    }

    /// Reads one reply, all its lines.
    fn expect(&mut self, code: &str) {
        loop {
            let mut line = String::new();
            self.reader
                .read_line(&mut line)
                .expect("the server answers");
            assert!(line.starts_with(code), "wanted {code}, got {line:?}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    }
}
