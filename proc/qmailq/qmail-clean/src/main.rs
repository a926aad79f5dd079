//! qmail-clean: removes queue files for qmail-send and qmail-todo.
//!
//! Runs as the queue's owner, started by qmail-start once for each of the
//! two. Reads commands on 0, answers one byte each on 1, ends with exit 0
//! when its input does (queue-and-delivery.md §4.11). The queue is the one
//! `QUEUEDIR` names, else the first of the collection. Only numbers are taken
//! from a command; every path is built from the number.
//!
//! Beside that it removes files in `pid` and `intd` that a queue writer
//! abandoned.

mod clean;

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use queue::{Layout, Queues};
use run::{Exit, Home, Settings};
use settings::queue::OSSIFIED;
use wire::clean::{Answer, COMMAND_BYTES_MAX, Command};

use clean::Cleaner;

const PROGRAM: &str = "qmail-clean";
/// Commands between two looks for abandoned files.
const COMMANDS_BETWEEN_SWEEPS: u32 = 30;

const HELP: &str = "\
usage: qmail-clean

Started by qmail-start. Reads foop/N and todo/N, each with a NUL, on
descriptor 0 and answers one byte each on 1. QUEUEDIR names the queue.
Exit codes: 0 end of input, 100 wrong use, 111 it cannot work.
";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(HELP, &arguments) {
            return Ok(());
        }
        run::usage::no_options(PROGRAM, &arguments)?;
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let fatal = |error: &dyn std::error::Error| Exit::new(run::TEMPORARY, error.to_string());
        let queues = Queues::configured(&home, &settings).map_err(|e| fatal(&e))?;
        let layout = Layout::detect(queues.first()).map_err(|e| fatal(&e))?;
        let seconds = settings.integer(&OSSIFIED).map_err(|e| fatal(&e))?;
        run::sandboxes::queue(layout.root()).enter();
        let age_max = Duration::from_secs(seconds.max(0).unsigned_abs());
        let (Some(input), Some(output)) = (os::fd::inherit_file(0), os::fd::inherit_file(1)) else {
            return Err(Exit::new(
                run::TEMPORARY,
                "descriptors 0 and 1 are not open",
            ));
        };
        answer_all(&Cleaner::new(layout, age_max), input, output)
            .map_err(|error| Exit::new(run::TEMPORARY, format!("cannot talk: {error}")))
    })
}

fn answer_all(cleaner: &Cleaner, mut input: File, mut output: File) -> std::io::Result<()> {
    let mut commands: u32 = 0;
    let mut command = Arriving::default();
    let mut buffer = [0; 4096];
    cleaner.sweep();
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..length] {
            let Some(parsed) = command.push(byte) else {
                continue;
            };
            let answer = parsed.map_or(Answer::NotUnderstood, |command| cleaner.run(command));
            output.write_all(&[answer.to_byte()])?;
            commands += 1;
            if commands.is_multiple_of(COMMANDS_BETWEEN_SWEEPS) {
                cleaner.sweep();
            }
        }
    }
}

/// A command that is arriving: exactly one answer each, however long it is.
#[derive(Default)]
struct Arriving {
    bytes: Vec<u8>,
}

impl Arriving {
    /// Takes a byte; at the NUL, what the command is, if it is one.
    fn push(&mut self, byte: u8) -> Option<Option<Command>> {
        if byte != 0 {
            // One byte too many is enough to know that it is none.
            if self.bytes.len() <= COMMAND_BYTES_MAX {
                self.bytes.push(byte);
            }
            return None;
        }
        let command = Command::parse(&self.bytes);
        self.bytes.clear();
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_exactly_one_answer() {
        let mut command = Arriving::default();
        let long = [vec![b'7'; 5000], b"\0todo/12\0nonsense\0".to_vec()].concat();
        let answers: Vec<_> = long.iter().filter_map(|&byte| command.push(byte)).collect();
        assert_eq!(answers, [None, Some(Command::Todo(12)), None]);
    }
}
