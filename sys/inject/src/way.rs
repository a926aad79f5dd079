//! Which way a message goes (queue-and-delivery.md §3.1.6).

use run::{Home, Settings};
use settings::front_ends::QMAILQUEUE;
use text::envrules::Change;

use crate::{Program, Refused};

/// The program that puts a message into the queue.
const QUEUE: &[u8] = b"qmail-queue";

/// Variables that the persistent writer was not told of.
const ONE_WRITER: [&str; 2] = ["QUEUEDIR", "FASTQUEUE"];

/// Which way a message goes.
#[derive(Clone, Debug)]
pub enum Way {
    /// `NULLQUEUE`: it is read and thrown away.
    Nowhere,
    /// Through this program.
    Program(Program),
    /// Through the persistent writer; without one, through this program.
    Writer(Program),
}

impl Way {
    /// Chooses by `NULLQUEUE`, then `QMAILQUEUE`, as they are with `changes`;
    /// a program is told of these. The persistent writer knows one
    /// environment only: where something changes it, or a queue is named, the
    /// program of the queue is chosen.
    pub fn choose(home: &Home, settings: &Settings, changes: &[Change]) -> Result<Self, Refused> {
        let changed = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let settings = settings.overlaid(changed);
        let chosen = |name| {
            settings
                .variable(name)
                .filter(|value: &&[u8]| !value.is_empty())
        };
        if settings.variable("NULLQUEUE").is_some() {
            return Ok(Self::Nowhere);
        }
        let program = |command| Program::parse(home, &settings, command, changes);
        Ok(match chosen(QMAILQUEUE.variable) {
            Some(command) => Self::Program(program(command)?),
            None if changes.is_empty() && ONE_WRITER.iter().all(|name| chosen(name).is_none()) => {
                Self::Writer(program(QUEUE)?)
            }
            None => Self::Program(program(QUEUE)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(variables: &[(&str, &str)], changes: &[Change]) -> Way {
        let home = Home::at("/nowhere");
        let settings = Settings::of_files(&home).overlaid(
            variables
                .iter()
                .map(|(name, value)| (*name, Some(value.as_bytes()))),
        );
        Way::choose(&home, &settings, changes).unwrap()
    }

    fn change(name: &str, value: &str) -> Change {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    #[test]
    fn nullqueue_beats_qmailqueue_and_that_the_queue() {
        assert!(matches!(way(&[], &[]), Way::Writer(_)));
        let multi = ("QMAILQUEUE", "bin/qmail-multi");
        assert!(matches!(way(&[multi], &[]), Way::Program(_)));
        assert!(matches!(
            way(&[multi, ("NULLQUEUE", "")], &[]),
            Way::Nowhere
        ));
        assert!(matches!(way(&[("QMAILQUEUE", "")], &[]), Way::Writer(_)));
    }

    #[test]
    fn what_the_writer_cannot_know_takes_the_program() {
        for name in ONE_WRITER {
            assert!(matches!(way(&[(name, "q")], &[]), Way::Program(_)));
        }
        assert!(matches!(way(&[], &[change("X", "1")]), Way::Program(_)));
        let null = [change("NULLQUEUE", "1")];
        assert!(matches!(way(&[], &null), Way::Nowhere));
    }
}
