//! qmail-nullqueue: takes messages and throws them away.

use std::io::BufReader;

use queue::Envelope;
use run::{Exit, Home, ProgramEnd, Settings};

use super::{descriptor, discarded, drain, help, queue_error, set_death};

const HELP: &str = "\
usage: qmail-nullqueue < message 1< envelope

Reads a message and its envelope as qmail-queue does, and throws them away.
NULLQUEUE makes injecting programs call it instead of the queue.
Exit codes: 0 read to the end, 52 it took too long, 54 cannot read.
";

/// The program.
pub fn nullqueue(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(HELP, arguments) {
        return Ok(().into());
    }
    let home = Home::find();
    set_death(&Settings::of_process(&home))?;
    drain(descriptor(0, "message")?)?;
    let mut input = BufReader::new(descriptor(1, "envelope")?);
    let mut envelope = Envelope::new(&mut input);
    let sender = envelope.sender().map_err(|error| queue_error(&error))?;
    let mut recipients = 0_u64;
    while envelope.recipient().map_err(|e| queue_error(&e))?.is_some() {
        recipients += 1;
    }
    drain(input)?;
    let sender = text::log::printable(&sender, 200);
    run::info(
        "qmail-nullqueue",
        &format!("threw away a message of <{sender}> to {recipients} recipients"),
    );
    discarded(&home, "qmail-nullqueue");
    Ok(().into())
}
