//! qmail-daemon: runs one qmail-start for each queue.
//!
//! Starts as root, or as the owner of a single-user installation, and stays
//! that; reads nothing from outside. Arguments go to every qmail-start, which
//! finds its queue in QUEUEDIR. TERM, ALRM, HUP, INT, USR1 and USR2 go to all of
//! them. A
//! child that dies is started again, later each time it dies at once. Exits 0
//! after TERM when all children are gone.

mod children;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use os::signal::{Interest, Signal, Signals};
use queue::Queues;
use run::{Exit, Home, Settings};

use crate::children::Children;

const PROGRAM: &str = "qmail-daemon";
const USAGE: &str = "usage: qmail-daemon [defaultdelivery [logger arg ...]]
Runs one qmail-start with these arguments for each queue: QUEUEDIR, else
QUEUE_COUNT queues from number QUEUE_START below QUEUE_BASE.
TERM, ALRM, HUP, USR1 and USR2 are passed on.
Exit codes: 0 after TERM, 111 it cannot start.
";

fn main() -> ExitCode {
    run::process(PROGRAM, || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let cannot = |error: &dyn std::error::Error| {
            Exit::new(run::TEMPORARY, format!("cannot start: {error}"))
        };
        let queues = Queues::configured(&home, &settings).map_err(|error| cannot(&error))?;
        let mut signals = Signals::collect(&[
            Signal::SIGTERM,
            Signal::SIGALRM,
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGCHLD,
        ])
        .map_err(|error| cannot(&error))?;
        let count = queues.directories().len();
        println!(
            "{PROGRAM}: qStart/qCount {}/{count}",
            children::number(queues.first())
        );
        let mut children = Children::new(home.bin().join("qmail-start"), arguments, &queues);
        run_until_term(&mut children, &mut signals).map_err(|error| cannot(&error))
    })
}

fn run_until_term(children: &mut Children, signals: &mut Signals) -> std::io::Result<()> {
    let mut is_stopping = false;
    loop {
        let now = os::clock::unix_seconds();
        if !is_stopping {
            children.start_due(now);
        } else if !children.any_running() {
            return Ok(());
        }
        let wait = children
            .next_start()
            .filter(|_| !is_stopping)
            .map(|at| Duration::from_secs(at.saturating_sub(now).max(0).unsigned_abs()));
        os::signal::poll(&[(signals.as_fd(), Interest::Read)], wait)?;
        while let Some(signal) = signals.take() {
            if signal != Signal::SIGCHLD {
                children.signal(signal);
            }
            is_stopping |= signal == Signal::SIGTERM;
        }
        children.collect(os::clock::unix_seconds());
    }
}
