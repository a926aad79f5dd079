//! The load: connections that each send messages one after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::case::Case;

/// What is sent to whom.
pub struct Load {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// How much of what.
    pub case: Case,
    /// The users, taken in turn.
    pub users: Vec<String>,
}

impl Load {
    /// Sends everything; for each message the time from the end of its data
    /// to its 250.
    pub fn run(&self) -> Vec<Duration> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..self.case.connections)
                .map(|_| scope.spawn(|| self.sender(&next)))
                .collect();
            senders
                .into_iter()
                .flat_map(|sender| sender.join().expect("a sender"))
                .collect()
        })
    }

    fn sender(&self, next: &AtomicUsize) -> Vec<Duration> {
        let mut times = Vec::new();
        loop {
            let before = times.len();
            self.connection(next, &mut times);
            if times.len() == before {
                return times;
            }
        }
    }

    fn connection(&self, next: &AtomicUsize, times: &mut Vec<Duration>) {
        let mut session = None;
        for _ in 0..self.case.per_connection {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if self.case.messages <= number {
                break;
            }
            let session = session.get_or_insert_with(|| Session::start(self.port));
            let first = number * self.case.recipients;
            let recipients: Vec<&str> = (first..first + self.case.recipients)
                .map(|at| &self.users[at % self.users.len()][..])
                .collect();
            let message = self.message(number, recipients[0]);
            times.push(session.deliver(&recipients, &message));
        }
        if let Some(mut session) = session {
            session.send(b"QUIT\r\n");
        }
    }

    fn message(&self, number: usize, to: &str) -> Vec<u8> {
        let mut message = format!(
            "From: sender@bench.invalid\r\nTo: {to}\r\nSubject: message {number}\r\n\
             Message-ID: <{number}@bench.invalid>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
        )
        .into_bytes();
        while message.len() + 72 < self.case.bytes {
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
    fn start(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("no delay");
        let mut session = Self {
            reader: BufReader::new(stream),
        };
        session.expect("220");
        session.send(b"EHLO bench.invalid\r\n");
        session.expect("250");
        session
    }

    /// Pipelined, as every modern sender does (RFC 2920).
    fn deliver(&mut self, recipients: &[&str], message: &[u8]) -> Duration {
        let mut envelope = "MAIL FROM:<sender@bench.invalid>\r\n".to_owned();
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
