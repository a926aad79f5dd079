//! qmail-todo: sorts the recipients of new messages into local and remote.
//!
//! Starts as `qmails`, from qmail-start, with the queue as working directory
//! of `QUEUEDIR`. Descriptors: 0 orders from qmail-send, 1 messages to it,
//! 2 commands to its qmail-clean, 3 answers from it, 4 (optional) stderr,
//! 5 (optional) `todo`, to be locked: an open file it shares with both
//! qmail-clean.
//! Reads envelopes in `todo`, writes `info`, `local` and `remote`, and
//! nothing else; reads no mail, starts no program, opens no network.
//!
//! Differs from the original in that it preprocesses all messages it finds in
//! batches, with one sync a batch, so that the disk and not the number of
//! messages decides how fast it is; and that a message with one recipient
//! gets its files only when its first try fails. Exits 0 when qmail-send says so or goes.

mod controls;
mod orders;
mod scan;
mod singles;
mod troubled;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use queue::{Durability, Layout, Queues};
use run::{Exit, Home, Settings};

use crate::orders::Orders;
use crate::scan::{Pipes, Todo};

const PROGRAM: &str = "qmail-todo";
const USAGE: &str = "usage: qmail-todo
Started by qmail-start, with its pipes on descriptors 0 to 3 and QUEUEDIR set.
Exit codes: 0 qmail-send is done, 100 wrong use, 111 it cannot work.
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if run::usage::help(USAGE, &arguments) {
        return ExitCode::SUCCESS;
    }
    run::process(PROGRAM, || {
        run::usage::no_options(PROGRAM, &arguments)?;
        let temporary = |error: &dyn std::error::Error| {
            Exit::new(run::TEMPORARY, format!("cannot start: {error}"))
        };
        let pipes = take_pipes().map_err(|error| temporary(&error))?;
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let queues = Queues::configured(&home, &settings).map_err(|error| temporary(&error))?;
        let layout = Layout::detect(queues.first()).map_err(|error| temporary(&error))?;
        let durability = Durability::configured(&settings).map_err(|error| temporary(&error))?;
        os::account::set_umask(0o077);
        let tracer = run::Tracer::connect(&home, PROGRAM);
        run::sandboxes::send(&home, layout.root()).enter();
        Todo::new(home, layout, durability, pipes, tracer)
            .map_err(|error| temporary(&error))?
            .run()
            .map_err(|error| Exit::new(run::TEMPORARY, format!("oh no! lost a pipe: {error}")))
    })
}

fn take_pipes() -> io::Result<Pipes> {
    let mut pipes = os::fd::take_over(&[0, 1, 2, 3, 4, 5])?.into_iter();
    let mut next = || pipes.next().flatten().map(File::from);
    let closed = || io::Error::from(io::ErrorKind::NotConnected);
    let mut taken = Pipes {
        from_send: Orders::new(next().ok_or_else(closed)?),
        to_send: next().ok_or_else(closed)?,
        to_clean: next().ok_or_else(closed)?,
        from_clean: next().ok_or_else(closed)?,
        lock: None,
    };
    let log = next().map(OwnedFd::from);
    taken.lock = next();
    if let Some(log) = log {
        os::fd::redirect_stderr(&log)?;
    }
    Ok(taken)
}
