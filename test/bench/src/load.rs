//! The load: connections that each send messages one after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is sent to whom.
pub struct Load {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Messages in all.
    pub messages: usize,
    /// Bytes of each, header included.
    pub bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// Recipients, taken in turn.
    pub recipients: Vec<String>,
}

impl Load {
    /// Sends everything; for each message the time from the end of its data
    /// to its 250.
    pub fn run(&self) -> Vec<Duration> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(|| self.connection(&next)))
                .collect();
            senders
                .into_iter()
                .flat_map(|sender| sender.join().expect("a sender"))
                .collect()
        })
    }

    fn connection(&self, next: &AtomicUsize) -> Vec<Duration> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_nodelay(true).expect("no delay");
        let mut session = Session {
            reader: BufReader::new(stream),
        };
        session.expect("220");
        session.send(b"EHLO bench.invalid\r\n");
        session.expect("250");
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if self.messages <= number {
                break;
            }
            let to = &self.recipients[number % self.recipients.len()];
            // Pipelined, as every modern sender does (RFC 2920).
            session.send(
                format!("MAIL FROM:<sender@bench.invalid>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
                    .as_bytes(),
            );
            session.expect("250");
            session.expect("250");
            session.expect("354");
            let message = self.message(number, to);
            let sent = Instant::now();
            session.send(&message);
            session.expect("250");
            times.push(sent.elapsed());
        }
        session.send(b"QUIT\r\n");
        times
    }

    fn message(&self, number: usize, to: &str) -> Vec<u8> {
        let mut message = format!(
            "From: sender@bench.invalid\r\nTo: {to}\r\nSubject: message {number}\r\n\
             Message-ID: <{number}@bench.invalid>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
        )
        .into_bytes();
        while message.len() + 72 < self.bytes {
            message.extend_from_slice(
                b"The quick brown fox jumps over the lazy dog, again and once more today\r\n",
            );
        }
        message.extend_from_slice(b".\r\n");
        message
    }
}

struct Session {
    reader: BufReader<TcpStream>,
}

impl Session {
    fn send(&mut self, bytes: &[u8]) {
        self.reader
            .get_mut()
            .write_all(bytes)
            .expect("the server reads");
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
