//! A protocol dialogue by hand, for what well-behaved clients never say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that speaks lines.
pub struct Talk {
    reader: BufReader<TcpStream>,
}

impl Talk {
    /// Connects to a port on loopback and reads the greeting.
    pub fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
        stream
            .set_read_timeout(Some(Duration::from_secs(90)))
            .expect("timeout");
        let mut talk = Self {
            reader: BufReader::new(stream),
        };
        talk.reply();
        talk
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        // The server may have closed; what it says then is the test's matter.
        let _ = self.reader.get_mut().write_all(bytes);
        self
    }

    /// Sends a line and returns the reply.
    pub fn say(&mut self, line: &str) -> String {
        self.raw(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Reads one SMTP reply, or one line of another protocol; empty when the
    /// server closed.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
                return reply;
            }
            let more = line.as_bytes().get(3) == Some(&b'-') && line.as_bytes()[0].is_ascii_digit();
            reply += &line;
            if !more {
                return reply;
            }
        }
    }

    /// Everything until the server closes or says nothing for a while.
    pub fn rest(&mut self) -> String {
        let _ = self
            .reader
            .get_mut()
            .set_read_timeout(Some(Duration::from_secs(2)));
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
