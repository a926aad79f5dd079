//! Log lines, as log analysers know them (operations.md §4.5).

use std::net::SocketAddr;

use listen::{End, Visit};
use run::line;

/// What is known about a session.
#[derive(Debug)]
pub struct Record {
    /// The client.
    pub visit: Visit,
    /// Bytes sent for TOP.
    pub top: u64,
    /// Bytes sent for RETR.
    pub retr: u64,
}

impl Record {
    /// Begins, and says so.
    pub fn begin(peer: SocketAddr) -> Self {
        let visit = Visit::new(peer);
        line(&format!("INFO: Connection, ip=[{}]", visit.ip()));
        Self {
            visit,
            top: 0,
            retr: 0,
        }
    }

    /// Somebody logged in.
    pub fn login(&mut self, user: &str) {
        let (ip, port) = (self.visit.ip(), self.visit.port());
        let user = self.visit.login(user);
        line(&format!(
            "INFO: LOGIN, user={user}, ip=[{ip}], port=[{port}], protocol=POP3"
        ));
    }

    /// Somebody tried to.
    pub fn login_failed(&self, user: &[u8], reason: &str) {
        let (ip, user) = (self.visit.ip(), Visit::word(user));
        line(&format!(
            "ERR: LOGIN FAILED, ip=[{ip}], user=[{user}], reason={reason}"
        ));
    }

    /// Something about this session went wrong on our side.
    pub fn trouble(&self, text: &str) {
        self.visit.trouble(text);
    }

    /// Ends.
    pub fn end(&self, end: End) {
        let name = end.name();
        let (ip, port) = (self.visit.ip(), self.visit.port());
        let (received, sent) = (self.visit.received, self.visit.sent);
        let Some(user) = self.visit.user() else {
            line(&format!(
                "INFO: {name}, ip=[{ip}], port=[{port}], rcvd={received}, sent={sent}"
            ));
            return;
        };
        let (top, retr) = (self.top, self.retr);
        let time = self.visit.seconds();
        let stls = match self.visit.upgraded {
            true => ", stls=1",
            false => "",
        };
        line(&format!(
            "INFO: {name}, user={user}, ip=[{ip}], port=[{port}], top={top}, retr={retr}, \
             rcvd={received}, sent={sent}, time={time}{stls}"
        ));
    }
}
