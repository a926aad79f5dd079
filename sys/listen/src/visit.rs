//! What is known about a mailbox session, for its log lines
//! (operations.md §4.5).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Longest user name in a line.
const WORD_BYTES_MAX: usize = 200;

/// A client from its first byte to its last. What the lines look like is up
/// to the protocol.
#[derive(Debug)]
pub struct Visit {
    peer: SocketAddr,
    start: Instant,
    user: Option<String>,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// TLS began within the session.
    pub upgraded: bool,
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

impl End {
    /// As it is called in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logout => "LOGOUT",
            Self::Disconnected => "DISCONNECTED",
            Self::Timeout => "TIMEOUT",
        }
    }
}

impl Visit {
    /// Begins now.
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            start: Instant::now(),
            user: None,
            received: 0,
            sent: 0,
            upgraded: false,
        }
    }

    /// Somebody logged in; gives the name as it may stand in a line.
    pub fn login(&mut self, user: &str) -> &str {
        self.user.insert(Self::word(user.as_bytes()))
    }

    /// Something about this session went wrong on our side: says so.
    pub fn trouble(&self, text: &str) {
        let user = self.user().unwrap_or("-");
        run::line(&format!("ERR: {text}, user={user}, ip=[{}]", self.ip()));
    }

    /// What a client says, as one word of a line.
    pub fn word(text: &[u8]) -> String {
        text::log::word(text, WORD_BYTES_MAX)
    }

    /// The client's address.
    pub fn ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The client's port.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// `user@domain`, as it may stand in a line, once logged in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// How long it has been going on.
    pub fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }
}
