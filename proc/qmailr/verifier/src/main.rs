//! verifier: asks the internet about clients, senders and messages.
//!
//! Starts as root or as `qmailr` (single-user: as anybody), reads which name
//! servers to ask, binds `run/verifier`, becomes `qmailr` and closes its
//! sandbox: no files, no programs, internet sockets. So the servers that talk
//! to strangers need none themselves, and what parses DNS answers and foreign
//! signatures knows nothing worth stealing.
//!
//! No descriptors, no arguments. TERM and INT end it with 0. Log lines go to
//! stderr. The original has no such program: each of its checks is made by
//! the process of the session.

mod answers;
mod connection;

use std::process::ExitCode;
use std::sync::Arc;

use os::account::{self, Account, Identity};
use run::{Exit, Home, Settings, TEMPORARY, sandboxes};
use tokio::signal::unix::{SignalKind, signal};

use connection::House;

const PROGRAM: &str = "verifier";
const USAGE: &str = "usage: verifier

Serves ROOT/run/verifier: whether domains exist, names of clients, SPF,
greylisting, DKIM and DMARC, for qmail-smtpd. TERM ends it. Settings:
dnsresolver.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.";
/// Any local process may connect; who may ask is decided by its user.
const SOCKET_MODE: u32 = 0o666;
/// Whom it becomes.
const USER: &str = "qmailr";
/// User of the daemon that asks, besides root and our own.
const CLIENT: &str = "qmaild";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        run::usage::no_options(PROGRAM, &arguments)?;
        if !arguments.is_empty() {
            return Err(run::usage::misused(USAGE));
        }
        start(&Home::find())
    })
}

fn start(home: &Home) -> Result<(), Exit> {
    let socket = home.socket("verifier");
    let listener = os::socket::listen(&socket, SOCKET_MODE)
        .map_err(|error| temporary(&format!("cannot listen on {}", socket.display()), &error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| temporary("cannot listen", &error))?;
    let (identity, clients) = users()?;
    identity
        .assume()
        .map_err(|error| temporary("cannot become qmailr", &error))?;
    listen::raise_descriptor_limit();
    let settings = Settings::of_process(home);
    // Threads inherit the sandbox of whoever starts them, so what has to be
    // read is read before there are any.
    let resolver = {
        let reading = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| temporary("cannot start", &error))?;
        let _inside = reading.enter();
        mailauth::Authenticator::from_settings(&settings)
            .map_err(|error| temporary("cannot set up the resolver", &error))?
    };
    sandboxes::close(sandboxes::verifier(), PROGRAM);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| temporary("cannot start", &error))?;
    runtime
        .block_on(serve(listener, resolver, clients))
        .map_err(|error| temporary("cannot go on serving", &error))
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    authenticator: mailauth::Authenticator,
    clients: Vec<u32>,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let house = Arc::new(House::new(authenticator, clients));
    run::info(PROGRAM, "ready");
    tokio::select! {
        () = house.receive(listener) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Who we become, and who may ask.
fn users() -> Result<(Identity, Vec<u32>), Exit> {
    let me = Identity::of_this_process();
    if !account::is_root() {
        return Ok((me, vec![0, me.uid]));
    }
    let own =
        Account::by_name(USER).map_err(|error| temporary("cannot find my own user", &error))?;
    let mut clients = vec![0, own.identity.uid];
    clients.extend(Account::by_name(CLIENT).map(|account| account.identity.uid));
    Ok((own.identity, clients))
}

fn temporary(what: &str, error: &dyn std::error::Error) -> Exit {
    Exit::new(TEMPORARY, format!("{what}: {}", run::chain(error)))
}
