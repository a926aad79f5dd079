//! Log lines, as log analysers know them (operations.md §4.5).

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use imap::Counters;

/// Longest foreign text in a line.
const WORD_BYTES_MAX: usize = 200;

/// What is known about a session.
#[derive(Debug)]
pub struct Record {
    peer: SocketAddr,
    start: Instant,
    /// `user@domain` once logged in.
    user: Option<String>,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Headers and bodies sent.
    pub counters: Counters,
    /// STARTTLS was used.
    pub starttls: bool,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// As the client wanted, or because of what it did.
    Logout,
    /// The connection broke.
    Disconnected,
    /// The client was silent for too long.
    Timeout,
}

impl Record {
    /// Begins, and says so.
    pub fn begin(peer: SocketAddr) -> Self {
        let (ip, port) = (peer.ip(), peer.port());
        line(&format!("INFO: Connection, ip=[{ip}], port={port}"));
        Self {
            peer,
            start: Instant::now(),
            user: None,
            received: 0,
            sent: 0,
            counters: Counters::default(),
            starttls: false,
        }
    }

    /// Somebody logged in.
    pub fn login(&mut self, user: &str, mechanism: &str) {
        self.user = Some(word(user.as_bytes()));
        let (ip, port, user) = (self.peer.ip(), self.peer.port(), word(user.as_bytes()));
        line(&format!(
            "INFO: LOGIN, user={user}, ip=[{ip}], port=[{port}], protocol=IMAP, \
             method={mechanism}"
        ));
    }

    /// Somebody tried to.
    pub fn login_failed(&self, user: &[u8], mechanism: &str, reason: &str) {
        let (ip, port, user) = (self.peer.ip(), self.peer.port(), word(user));
        line(&format!(
            "ERR: LOGIN FAILED, ip=[{ip}], port={port}, user=[{user}], method={mechanism}, \
             reason={reason}"
        ));
    }

    /// Something about this session went wrong on our side.
    pub fn trouble(&self, text: &str) {
        let user = self.user.as_deref().unwrap_or("-");
        let ip = self.peer.ip();
        line(&format!("ERR: {text}, user={user}, ip=[{ip}]"));
    }

    /// Ends.
    pub fn end(&self, end: End) {
        let name = match end {
            End::Logout => "LOGOUT",
            End::Disconnected => "DISCONNECTED",
            End::Timeout => "TIMEOUT",
        };
        let (ip, port) = (self.peer.ip(), self.peer.port());
        let (received, sent) = (self.received, self.sent);
        let Some(user) = &self.user else {
            line(&format!(
                "INFO: {name}, ip=[{ip}], port={port}, rcvd={received}, sent={sent}"
            ));
            return;
        };
        let Counters { headers, body } = self.counters;
        let time = self.start.elapsed().as_secs();
        let starttls = if self.starttls { ", starttls=1" } else { "" };
        line(&format!(
            "INFO: {name}, user={user}, ip=[{ip}], port={port}, headers={headers}, body={body}, \
             rcvd={received}, sent={sent}, time={time}{starttls}"
        ));
    }
}

/// What a client says, as one word: programs that read logs must not take a
/// part of a user name for an address (attacks.md row 28).
fn word(text: &[u8]) -> String {
    text.iter()
        .take(WORD_BYTES_MAX)
        .map(|&b| match b {
            b',' | b'[' | b']' | b'=' => '?',
            0x21..=0x7e => char::from(b),
            _ => '?',
        })
        .collect()
}

/// Writes a line in one piece.
fn line(text: &str) {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    line.push('\n');
    // When even the log is gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_cannot_name_another_address() {
        assert_eq!(word(b"a], ip=[1.2.3.4]\nx\x1b"), "a???ip??1.2.3.4??x?");
    }
}
