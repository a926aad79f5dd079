//! Having finished messages removed by qmail-clean, without waiting for it.
//! Its answers come in the order of the commands.

use std::collections::VecDeque;

use wire::clean::{Answer, Command};

use crate::log::Log;
use crate::pipes::Pipe;

/// Commands on their way.
#[derive(Debug, Default)]
pub struct Cleaner(VecDeque<Command>);

impl Cleaner {
    /// Asks for a text or an envelope to be removed.
    pub fn ask(&mut self, pipe: &mut Pipe, command: Command) {
        self.0.push_back(command);
        pipe.send(&command.to_bytes());
    }

    /// Takes the answers that arrived; the envelopes that are gone (`true`)
    /// or could not be removed (`false`).
    pub fn answers(&mut self, pipe: &mut Pipe, log: &mut Log) -> Vec<(u64, bool)> {
        let mut envelopes = Vec::new();
        for byte in pipe.take_all(|input| Some((*input.first()?, 1))) {
            let is_done = Answer::from_byte(byte) == Answer::Done;
            match self.0.pop_front() {
                Some(Command::Todo(id)) => envelopes.push((id, is_done)),
                // The sweep meets it again.
                Some(Command::Message(id)) if !is_done => {
                    log.warning(&format!("qmail-clean unable to clean up mess/{id}"));
                }
                Some(Command::Message(_)) => {}
                None => break,
            }
        }
        envelopes
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.0.is_empty()
    }
}
