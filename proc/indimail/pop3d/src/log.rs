//! Log lines, as log analysers know them (operations.md §4.5).

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

/// What is known about a session.
#[derive(Debug)]
pub struct Record {
    peer: SocketAddr,
    start: Instant,
    /// `user@domain` once logged in.
    pub user: Option<String>,
    /// Bytes sent for TOP.
    pub top: u64,
    /// Bytes sent for RETR.
    pub retr: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// STLS was used.
    pub stls: bool,
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
        line(&format!("INFO: Connection, ip=[{}]", peer.ip()));
        Self {
            peer,
            start: Instant::now(),
            user: None,
            top: 0,
            retr: 0,
            received: 0,
            sent: 0,
            stls: false,
        }
    }

    /// Somebody logged in.
    pub fn login(&mut self, user: &str) {
        self.user = Some(user.to_owned());
        let (ip, port) = (self.peer.ip(), self.peer.port());
        line(&format!(
            "INFO: LOGIN, user={user}, ip=[{ip}], port=[{port}], protocol=POP3"
        ));
    }

    /// Somebody tried to.
    pub fn login_failed(&self, user: &[u8], reason: &str) {
        let (ip, user) = (self.peer.ip(), String::from_utf8_lossy(user));
        line(&format!(
            "ERR: LOGIN FAILED, ip=[{ip}], user=[{user}], reason={reason}"
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
        let word = match end {
            End::Logout => "LOGOUT",
            End::Disconnected => "DISCONNECTED",
            End::Timeout => "TIMEOUT",
        };
        let (ip, port) = (self.peer.ip(), self.peer.port());
        let (received, sent) = (self.received, self.sent);
        let Some(user) = &self.user else {
            line(&format!(
                "INFO: {word}, ip=[{ip}], port=[{port}], rcvd={received}, sent={sent}"
            ));
            return;
        };
        let (top, retr) = (self.top, self.retr);
        let time = self.start.elapsed().as_secs();
        let stls = if self.stls { ", stls=1" } else { "" };
        line(&format!(
            "INFO: {word}, user={user}, ip=[{ip}], port=[{port}], top={top}, retr={retr}, \
             rcvd={received}, sent={sent}, time={time}{stls}"
        ));
    }
}

/// Writes a line in one piece; what could break lines or terminals becomes
/// `?` (attacks.md row 28).
fn line(text: &str) {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    line.push('\n');
    let _ = std::io::stderr().write_all(line.as_bytes());
}
