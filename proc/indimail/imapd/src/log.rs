//! Log lines, as log analysers know them (operations.md §4.5).

use std::net::SocketAddr;

use imap::Counters;
use listen::{End, Visit};
use run::line;

/// What is known about a session.
#[derive(Debug)]
pub struct Record {
    /// The client.
    pub visit: Visit,
    /// Headers and bodies sent.
    pub counters: Counters,
}

impl Record {
    /// Begins, and says so.
    pub fn begin(peer: SocketAddr) -> Self {
        let visit = Visit::new(peer);
        let (ip, port) = (visit.ip(), visit.port());
        line(&format!("INFO: Connection, ip=[{ip}], port={port}"));
        Self {
            visit,
            counters: Counters::default(),
        }
    }

    /// Somebody logged in.
    pub fn login(&mut self, user: &str, mechanism: &str) {
        let (ip, port) = (self.visit.ip(), self.visit.port());
        let user = self.visit.login(user);
        line(&format!(
            "INFO: LOGIN, user={user}, ip=[{ip}], port=[{port}], protocol=IMAP, \
             method={mechanism}"
        ));
    }

    /// Somebody tried to.
    pub fn login_failed(&self, user: &[u8], mechanism: &str, reason: &str) {
        let (ip, port, user) = (self.visit.ip(), self.visit.port(), Visit::word(user));
        line(&format!(
            "ERR: LOGIN FAILED, ip=[{ip}], port={port}, user=[{user}], method={mechanism}, \
             reason={reason}"
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
                "INFO: {name}, ip=[{ip}], port={port}, rcvd={received}, sent={sent}"
            ));
            return;
        };
        let Counters { headers, body } = self.counters;
        let time = self.visit.seconds();
        let starttls = match self.visit.upgraded {
            true => ", starttls=1",
            false => "",
        };
        line(&format!(
            "INFO: {name}, user={user}, ip=[{ip}], port={port}, headers={headers}, body={body}, \
             rcvd={received}, sent={sent}, time={time}{starttls}"
        ));
    }
}
