//! qmail-send: decides what is delivered when, and tells senders what failed.
//!
//! Starts as `qmails`, from qmail-start. Descriptors: 0 log; 1/2 to and from
//! qmail-lspawn; 3/4 qmail-rspawn; 5/6 qmail-clean; 7/8 qmail-todo. Writes
//! `info`, `local`, `remote`, `bounce` and `hold` of its queue, answers
//! operators on `hold/socket`, reads `mess` only to
//! quote it in bounces, and opens no network. One thread; the decisions are
//! in the crate `schedule`.
//!
//! TERM lets running deliveries end and exits 0; ALRM tries everything now;
//! HUP reads control files again; USR1 takes no new messages until USR2.
//! 111: it cannot start, or lost a process.
//!
//! Differs from the original in that a bounce never stops deliveries: bounces
//! go to the persistent queue writer, several at a time, or through
//! BOUNCEQUEUE or QMAILQUEUE when these are set.

mod bounce;
mod bouncing;
mod child;
mod cleaner;
mod controls;
mod daemon;
mod events;
mod files;
mod injection;
mod log;
mod operators;
mod pipes;
mod rates;
mod sweep;

use std::process::ExitCode;

use os::file::Lock;
use os::signal::{Signal, Signals};
use queue::{Layout, Queues};
use run::{Exit, Home, Settings, Tracer};
use schedule::Lines;

use crate::controls::Controls;
use crate::daemon::Daemon;
use crate::log::Log;
use crate::operators::Operators;
use crate::pipes::Pipes;

const PROGRAM: &str = "qmail-send";
const USAGE: &str = "usage: qmail-send
Started by qmail-start, with its pipes on descriptors 0 to 8 and QUEUEDIR set.
TERM ends it, ALRM tries everything now, HUP reads control files again,
USR1 keeps new messages waiting until USR2.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start, or lost a process.
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if run::usage::help(USAGE, &arguments) {
        return ExitCode::SUCCESS;
    }
    run::process(PROGRAM, || {
        run::usage::no_options(PROGRAM, &arguments)?;
        let quiet = |_| Exit::new(run::TEMPORARY, "");
        let (log, pipes) = pipes::take().map_err(quiet)?;
        let mut log = Log::new(log, Lines::of_single_queue());
        match start(pipes, &mut log) {
            Ok(daemon) => Ok(daemon.run(log)),
            Err(text) => {
                log.alert(&format!("cannot start: {text}"));
                log.flush();
                Err(Exit::new(run::TEMPORARY, ""))
            }
        }
    })
}

fn start(mut pipes: Pipes, log: &mut Log) -> Result<Daemon, String> {
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let unreadable =
        |error: &dyn std::error::Error| format!("unable to read controls: {}", run::chain(error));
    let queues = Queues::configured(&home, &settings).map_err(|error| unreadable(&error))?;
    let layout = Layout::detect(queues.first()).map_err(|error| run::chain(&error))?;
    log.set_lines(controls::lines(&settings, &layout.name()));
    let controls = Controls::read(&settings, &layout.name()).map_err(|error| unreadable(&error))?;
    os::account::set_umask(0o077);
    std::env::set_current_dir(layout.root())
        .map_err(|error| format!("unable to switch to queue directory: {error}"))?;
    let mutex = take_mutex(&layout)?;
    let limits = pipes.read_limits()?;
    let signals = Signals::collect(&[
        Signal::SIGTERM,
        Signal::SIGALRM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        // Collected and ignored: qmail-daemon passes it on.
        Signal::SIGINT,
        Signal::SIGCHLD,
    ])
    .map_err(|error| format!("unable to collect signals: {error}"))?;
    let tracer = Tracer::connect(&home, PROGRAM);
    let operators = Operators::listen().unwrap_or_else(|error| {
        log.warning(&format!(
            "unable to listen on hold/socket: {error}; run queue-fix"
        ));
        Operators::default()
    });
    if !controls.starts_programs() {
        let sandbox = run::sandboxes::send(&home, layout.root());
        match controls.rates_directory.is_absolute() {
            true => sandbox.write(&controls.rates_directory).enter(),
            false => sandbox.enter(),
        };
    }
    Ok(Daemon::new(
        home, layout, controls, limits, pipes, signals, tracer, mutex, operators,
    ))
}

/// Only one qmail-send may work on a queue.
fn take_mutex(layout: &Layout) -> Result<Lock, String> {
    let path = layout.lock("sendmutex");
    let unable = |error: std::io::Error| format!("unable to open lock/sendmutex: {error}");
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .map_err(unable)?;
    os::file::try_lock(file)
        .map_err(unable)?
        .ok_or_else(|| "qmail-send is already running".to_owned())
}
