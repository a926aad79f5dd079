//! qmail-smtpd: takes mail from the network.
//!
//! With `--listen` it binds as root, becomes `qmaild`, closes a sandbox
//! (reads control/, etc/, users/, alias/ and the system's user database;
//! writes and starts nothing) and only then accepts: one process, many
//! sessions. Without it the session is on descriptors 0 and 1, as under
//! tcpserver, described by TCPREMOTEIP and the other variables; the sandbox is
//! the same. With QMAILQUEUE set there is none, because the queue program may
//! be set-uid.
//!
//! Messages go to `run/queue`, or into the program QMAILQUEUE names; questions
//! about users go to `run/inlookup`, handshakes to `run/signer`, events to
//! `run/trace`. What is settled here is only who may send what to whom.
//!
//! Exit codes: 0 after SIGTERM of a listener and after a session that ended with
//! QUIT, 1 after one that did not, 100 wrong usage or configuration, 111
//! anything else.
//!
//! Differs from the original: a CHECKER `vchkpass` is not run, because inlookup
//! knows the users.

mod arguments;
mod changes;
mod checkers;
mod connection;
mod explain;
mod journal;
mod listener;
mod lists;
mod policies;
mod program;
mod queue;
mod service;
mod transport;
mod ucspi;
mod verifier;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;

use run::{Exit, Home, PERMANENT, Settings, TEMPORARY, sandboxes};
use settings::receiving;

use arguments::{Arguments, USAGE};
use service::Service;

const PROGRAM: &str = "qmail-smtpd";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<u8, Exit> {
        let arguments = match arguments::parse(std::env::args().skip(1))? {
            Some(arguments) => arguments,
            None => {
                println!("{USAGE}");
                return Ok(0);
            }
        };
        start(arguments)
    })
}

fn start(arguments: Arguments) -> Result<u8, Exit> {
    let temporary = |text: String| Exit::new(TEMPORARY, text);
    let home = Home::find();
    let settings = Settings::of_process(&home);
    check(&settings)?;
    let listeners = match arguments.network.listen.is_empty() || arguments.explain {
        true => Vec::new(),
        false => listen::open(PROGRAM, &arguments.network)
            .map_err(|error| temporary(run::chain(&error)))?,
    };
    if arguments.explain {
        // As who serves, so that what cannot be read then shows now.
        explain::become_server(&arguments)?;
    }
    listen::raise_descriptor_limit();
    close_sandbox(&home, &settings, &arguments);
    // Half of the processors, for queue and deliveries want theirs; fewer
    // threads also wake each other less.
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(2))
        .enable_all()
        .build()
        .map_err(|error| temporary(format!("cannot start: {error}")))?;
    let code = runtime.block_on(async {
        let service = Service::new(home, settings, &arguments)
            .map_err(|error| format!("cannot start: {error}"))?;
        let service = Arc::new(service);
        match listeners.is_empty() {
            _ if arguments.explain => explain::answer(&service).await,
            true => ucspi::serve(&service).await,
            false => listener::serve(&service, listeners).await,
        }
    });
    // A thread that still waits for descriptor 0 must not keep us.
    runtime.shutdown_background();
    code.map_err(temporary)
}

/// What must be there before the first client comes.
fn check(settings: &Settings) -> Result<(), Exit> {
    let trouble = |error: run::SettingError| Exit::new(TEMPORARY, error.to_string());
    if settings
        .list(&receiving::RCPTHOSTS)
        .map_err(trouble)?
        .is_none()
    {
        let text = "no control/rcpthosts: everybody could relay; write the domains you take mail \
                    for into it, one a line (an empty file takes none)";
        return Err(Exit::new(PERMANENT, text));
    }
    if settings
        .line(&settings::site::ME)
        .map_err(trouble)?
        .is_none()
    {
        let text = "no control/me: write the host's name into it";
        return Err(Exit::new(PERMANENT, text));
    }
    Ok(())
}

fn close_sandbox(home: &Home, settings: &Settings, arguments: &Arguments) {
    // No sandbox lets a checker be set-uid, which it usually is.
    if let Some(program) = arguments.checkers.program.first() {
        let text = format!("{program} checks passwords: running without a sandbox");
        run::info(PROGRAM, &text);
        return;
    }
    sandboxes::close_for_queue(sandboxes::smtpd(home), PROGRAM, settings);
}
