//! Having finished messages removed by qmail-clean, without waiting for it.
//! Its answers come in the order of the commands.

use std::collections::VecDeque;

use wire::clean::{Answer, Command};

use crate::log::Log;
use crate::pipes::Pipe;

/// Commands on their way.
#[derive(Debug, Default)]
pub struct Cleaner(VecDeque<u64>);

impl Cleaner {
    /// Asks for a message's text to be removed.
    pub fn remove(&mut self, pipe: &mut Pipe, id: u64) {
        self.0.push_back(id);
        pipe.send(&Command::Message(id).to_bytes());
    }

    /// Takes the answers that arrived.
    pub fn answers(&mut self, pipe: &mut Pipe, log: &mut Log) {
        for byte in pipe.take_all(|input| Some((*input.first()?, 1))) {
            let Some(id) = self.0.pop_front() else { return };
            if Answer::from_byte(byte) != Answer::Done {
                // The sweep meets it again.
                log.warning(&format!("qmail-clean unable to clean up mess/{id}"));
            }
        }
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.0.is_empty()
    }
}
