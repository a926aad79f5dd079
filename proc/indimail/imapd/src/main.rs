//! imapd: serves mailboxes over IMAP4rev1, many sessions in one process.
//!
//! Starts as root or as `indimail`. It binds its listeners, becomes
//! `indimail` for good, closes a sandbox around `ROOT/mail`, and only then
//! reads the first byte of a client. Who may log in it asks inlookup
//! (`run/inlookup`), TLS signatures it asks the signer (`run/signer`); it can
//! read neither the user database nor a private key.
//!
//! Writes only below `ROOT/mail`. Logs on descriptor 2, one line an event
//! (operations.md §4.5). SIGTERM says BYE to every client and exits 0; 100 is
//! a wrong command line, 111 anything that may pass.
//!
//! Unlike the original there is no chain of login programs under tcpserver;
//! passwords are refused without TLS unless the client is on this machine;
//! folders have no prefix `INBOX.`, although names written so are understood;
//! and `user@domain:IP` is no login name.

mod connection;
mod convert;
mod log;
mod mail;
mod options;
mod seat;
mod server;
mod stream;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use run::{Exit, Home, sandboxes};

use options::Options;

/// How long blocking work may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// Threads that wait for disks. More sessions than these can be busy at once,
/// they queue.
const BLOCKING_THREADS_MAX: usize = 64;

fn main() -> ExitCode {
    run::process("imapd", || {
        let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
            print!("{}", options::HELP);
            return Ok(());
        };
        serve(&options, &Home::find())
    })
}

fn serve(options: &Options, home: &Home) -> Result<(), Exit> {
    let listeners = listen::open("imapd", &options.network).map_err(temporary)?;
    os::account::set_umask(0o077);
    sandboxes::close(sandboxes::mailboxes(home), "imapd");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .map_err(temporary)?;
    let outcome = runtime.block_on(async {
        let server = server::Server::new(home, options).map_err(temporary)?;
        let asked = server.certificates.ask_first(server.mode).await;
        asked.map_err(|text| Exit::new(run::TEMPORARY, text))?;
        server.serve(listeners).await.map_err(temporary)
    });
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Ends the program with an error and its causes in one line.
fn temporary(error: impl std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(&error))
}
