//! pop3d: serves mailboxes over POP3, many sessions in one process.
//!
//! Starts as root or as `indimail`. It binds its listeners, becomes
//! `indimail` for good, closes a sandbox around `ROOT/mail`, and only then
//! reads the first byte of a client. Who may log in it asks inlookup
//! (`run/inlookup`), TLS signatures it asks the signer (`run/signer`); it can
//! read neither the user database nor a private key.
//!
//! Writes only below `ROOT/mail`. Logs on descriptor 2, one line an event
//! (operations.md §4.5). SIGTERM cuts sessions without removing anything and
//! exits 0; 100 is a wrong command line, 111 anything that may pass.
//!
//! Unlike the original there is no chain of login programs under tcpserver;
//! passwords are refused without TLS unless the client is on this machine; and
//! `user@domain:IP` is no login name.

mod log;
mod maildrop;
mod options;
mod output;
mod server;
mod session;
mod unique;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use listen::{Certificates, Handshakes, Inlookup};
use run::{Exit, Home, sandboxes};

use options::Options;

/// How long blocking work may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// A handshake may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    run::process("pop3d", || {
        let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
            print!("{}", options::HELP);
            return Ok(());
        };
        serve(&options, &Home::find())
    })
}

fn serve(options: &Options, home: &Home) -> Result<(), Exit> {
    let listeners = listen::open("pop3d", &options.network).map_err(temporary)?;
    os::account::set_umask(0o077);
    let settings = run::Settings::of_process(home);
    let pass = !settings
        .is_set(&settings::mailbox::DISABLE_PASS)
        .map_err(temporary)?;
    sandboxes::close(sandboxes::mailboxes(home), "pop3d");
    let server = server::Server {
        inlookup: Inlookup::new(home.socket("inlookup")),
        certificates: Arc::new(Certificates::new(
            "pop3d",
            home.socket("signer"),
            options.certificate.clone(),
        )),
        handshakes: Handshakes::start(HANDSHAKE_TIMEOUT).map_err(temporary)?,
        mode: options.network.tls,
        pass,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(temporary)?;
    let outcome = runtime.block_on(async {
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
