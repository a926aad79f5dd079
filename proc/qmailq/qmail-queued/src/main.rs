//! qmail-queued: puts messages into the queue for programs that send many.
//!
//! Started as root it opens its socket `run/queue`, becomes the owner of the
//! queue, and only then accepts; in a single-user installation it stays who
//! it is. Anyone may connect, as anyone may call qmail-queue: the user is the
//! kernel's word, not the client's. Writes below the queues only; no network,
//! no programs.
//!
//! Each connection has a thread of its own, because the time goes into syncs,
//! and syncs of many threads share one commit of the file system's journal.
//! A message streams to the disk as it arrives; what a client left unfinished
//! is gone when its connection is.
//!
//! With `QHPSI` set in its environment every message is scanned by a companion,
//! a process that is started before the sandbox closes; when that ends, so
//! does this.
//!
//! SIGTERM: no new message is taken, those being synced are answered, exit 0.

mod serve;
mod service;

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use os::account::Identity;
use os::signal::{Interest, Signal, Signals};
use queue::{Error, Queues};
use run::{Exit, Home, Settings, sandboxes};
use scanner::companion::{self, Companion};

use service::Service;

const PROGRAM: &str = "qmail-queued";
/// Everybody may connect.
const SOCKET_MODE: u32 = 0o666;
/// How long messages being synced are waited for at the end.
const LAST_SYNCS: Duration = Duration::from_secs(5);

const HELP: &str = "\
usage: qmail-queued

Takes messages on the socket run/queue of the installation and puts them into
its queues. Variables: QMAILDIR, CONTROLDIR, QUEUEDIR or QUEUE_BASE,
QUEUE_START and QUEUE_COUNT, MIN_FREE, USE_FSYNC, USE_SYNCDIR, EXTRAQUEUE,
ENVHEADERS, QHPSI and REJECTVIRUS.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.
";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        match std::env::args().nth(1).as_deref() {
            None => {}
            Some("--help") => {
                print!("{HELP}");
                return Ok(());
            }
            Some(companion::ARGUMENT) => {
                os::account::set_umask(0o077);
                return companion::run(&Settings::of_process(&Home::find()));
            }
            Some(other) => {
                return Err(Exit::new(
                    run::PERMANENT,
                    format!("unknown argument {other}; try --help"),
                ));
            }
        }
        os::account::set_umask(0o033);
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let mut signals = Signals::collect(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])
            .map_err(|error| {
                Exit::new(run::TEMPORARY, format!("cannot collect signals: {error}"))
            })?;
        let queues = Queues::configured(&home, &settings).map_err(|e| fatal(&e.into()))?;
        let listener = listen(&home)?;
        let owner = owner(&queues)?;
        let companion = start_companion(&home, &settings, owner)?;
        owner
            .assume()
            .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
        let mut service = Service::open(&home, &settings, &queues).map_err(|e| fatal(&e))?;
        service.companion = companion;
        sandboxes::close(sandboxes::queued(queues.directories()), PROGRAM);
        accept_until_term(&listener, &mut signals, &Arc::new(service))
    })
}

/// This program again, to scan messages.
fn start_companion(
    home: &Home,
    settings: &Settings,
    owner: Identity,
) -> Result<Option<Companion>, Exit> {
    let trouble = |error: &dyn std::error::Error| {
        Exit::new(run::TEMPORARY, format!("no scanner: {}", run::chain(error)))
    };
    let program = std::env::current_exe().map_err(|error| trouble(&error))?;
    Companion::start(&program, home, settings, owner).map_err(|error| trouble(&error))
}

fn fatal(error: &Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(error))
}

fn listen(home: &Home) -> Result<UnixListener, Exit> {
    let path = home.socket("queue");
    let listener = os::socket::listen(&path, SOCKET_MODE).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        Exit::new(
            run::TEMPORARY,
            format!(
                "cannot listen on {}; is its directory there and ours?: {error}",
                path.display()
            ),
        )
    })
}

/// Who we are going to be: the owner of a queue's `mess` writes to it; nobody
/// else should. Somebody who is not root stays who it is.
fn owner(queues: &Queues) -> Result<Identity, Exit> {
    if !os::account::is_root() {
        return Ok(Identity::of_this_process());
    }
    let mess = queues.first().join("mess");
    let owner = Identity::owner_of(&mess).map_err(|error| {
        Exit::new(
            run::TEMPORARY,
            format!("cannot read queue {}: {error}", mess.display()),
        )
    })?;
    if owner.uid == 0 {
        return Err(Exit::new(
            run::PERMANENT,
            format!(
                "{} belongs to root; it must belong to qmailq",
                mess.display()
            ),
        ));
    }
    Ok(owner)
}

fn accept_until_term(
    listener: &UnixListener,
    signals: &mut Signals,
    service: &Arc<Service>,
) -> Result<(), Exit> {
    loop {
        let waits = [
            (signals.as_fd(), Interest::Read),
            (listener.as_fd(), Interest::Read),
        ];
        os::signal::poll(&waits, None)
            .map_err(|error| Exit::new(run::TEMPORARY, format!("cannot poll: {error}")))?;
        match signals.take() {
            None => {}
            // The only child: without it nothing can be scanned, and the
            // sandbox does not let us start another.
            Some(Signal::SIGCHLD) => {
                service.wait_for_syncs(LAST_SYNCS);
                let text = "the companion that scans messages has ended";
                return Err(Exit::new(run::TEMPORARY, text));
            }
            Some(_) => {
                service.wait_for_syncs(LAST_SYNCS);
                return Ok(());
            }
        }
        match listener.accept() {
            Ok((stream, _)) => service.take_on(stream),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Out of descriptors: wait until some connection ends.
                run::warn(PROGRAM, &format!("cannot accept: {error}"));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
