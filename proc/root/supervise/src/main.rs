//! supervise: keeps one service running (operations.md §1.4).
//!
//! Runs as whoever started it, usually root, and gives the service the same
//! user, descriptors and environment; the service's `run` drops rights. Its
//! one argument is the service directory. Writes `supervise/` below it only:
//! `lock`, `control`, `ok`, `status`.
//!
//! Single-threaded and never waits for a child: control letters work while a
//! `shutdown` program runs and between restarts.
//!
//! Differs from the original: a `shutdown` program that hangs is given up
//! after 30 seconds, and TERM to supervise itself stops the service and ends.
//! A logger whose service and svscan are gone has read everything when it
//! ends, and nobody can ever write again: its supervise ends too.
//!
//! Exit 0 when it was told to exit, 100 for a wrong call, 111 when the
//! directory cannot be used or another supervise has it.

mod directory;
mod service;

use std::os::fd::AsFd;
use std::process::ExitCode;

use os::signal::{Interest, Signal, Signals};
use run::Exit;

use directory::Directory;
use service::{Flow, Service};

const PROGRAM: &str = "supervise";
const HELP: &str = "usage: supervise DIRECTORY\n\nStarts DIRECTORY/run again whenever it ends. svc controls it.\nExit codes: 0 after svc -x or TERM, 100 wrong use, 111 it cannot work there.\n";

fn main() -> ExitCode {
    run::process(PROGRAM, || {
        let mut arguments = std::env::args_os().skip(1);
        let directory = match (arguments.next(), arguments.next()) {
            (Some(help), None) if help == "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            (Some(directory), None) => {
                run::usage::no_options(PROGRAM, &[&directory])?;
                directory
            }
            _ => return Err(run::usage::misused(HELP)),
        };
        let fatal = |text: String| Exit::new(run::TEMPORARY, text);
        let caught = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT];
        let mut signals = Signals::collect(&caught)
            .map_err(|e| fatal(format!("unable to collect signals: {e}")))?;
        let directory = Directory::enter(directory.as_ref())?;
        let mut service = Service::new(directory.starts_down(), directory.name());
        service.announce(&directory);
        supervise(&directory, &mut service, &mut signals)
            .map_err(|error| fatal(format!("unable to wait: {error}")))
    })
}

fn supervise(
    directory: &Directory,
    service: &mut Service,
    signals: &mut Signals,
) -> std::io::Result<()> {
    loop {
        if service.advance(directory) == Flow::Ended {
            return Ok(());
        }
        let waits = [
            (signals.as_fd(), Interest::Read),
            (directory.control(), Interest::Read),
        ];
        os::signal::poll(&waits, service.wait_max())?;
        while let Some(signal) = signals.take() {
            if signal != Signal::SIGCHLD {
                service.obey(b'd', directory);
                service.obey(b'x', directory);
            }
        }
        while let Some((pid, _)) = os::child::collect() {
            service.ended(pid, directory);
            if directory.is_logger() && os::fd::is_finished_pipe(std::io::stdin()) {
                service.obey(b'x', directory);
            }
        }
        for letter in directory.read_letters() {
            service.obey(letter, directory);
        }
    }
}
