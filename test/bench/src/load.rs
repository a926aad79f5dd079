//! The load: connections that each send messages one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::case::Case;
use crate::talk::{Session, connect, message};

/// Who sends it.
const SENDER: &str = "sender@bench.invalid";

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
            let session = session.get_or_insert_with(|| Session::start(connect(self.port)));
            let first = number * self.case.recipients;
            let recipients: Vec<&str> = (first..first + self.case.recipients)
                .map(|at| &self.users[at % self.users.len()][..])
                .collect();
            let message = message(number, recipients[0], self.case.bytes);
            times.push(session.deliver(SENDER, &recipients, &message));
        }
        if let Some(mut session) = session {
            session.quit();
        }
    }
}
