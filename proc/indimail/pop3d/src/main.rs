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
mod lookup;
mod maildrop;
mod options;
mod output;
mod server;
mod session;
mod unique;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use options::{Mode, Options};
use run::{Exit, Home, sandboxes};

/// How long blocking work may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

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
    let listeners = bind(options)?;
    if os::account::is_root() {
        let account = os::account::Account::by_name(&options.user).map_err(temporary)?;
        account.identity.assume().map_err(temporary)?;
    }
    os::account::set_umask(0o077);
    allow_descriptors();
    let settings = run::Settings::of_process(home);
    let pass = !settings
        .is_set(&settings::mailbox::DISABLE_PASS)
        .map_err(temporary)?;
    let tls = match options.tls {
        Mode::None => None,
        Mode::Implicit | Mode::StartTls => {
            let config = tls::server_config(&home.socket("signer"), &options.certificate);
            Some(tls::TlsAcceptor::from(config.map_err(temporary)?))
        }
    };
    sandboxes::close(sandboxes::mailboxes(home), "pop3d");
    let server = Arc::new(server::Server::new(
        home.socket("inlookup"),
        tls,
        options.tls,
        pass,
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(temporary)?;
    let outcome = runtime.block_on(server.serve(listeners)).map_err(temporary);
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Raises the limit of descriptors as far as we may: the usual 1024 is a few
/// hundred sessions.
fn allow_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn bind(options: &Options) -> Result<Vec<TcpListener>, Exit> {
    let mut listeners = Vec::new();
    for address in &options.listen {
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| {
                let text = format!("cannot listen on {address}: {error}");
                Exit::new(run::TEMPORARY, text)
            })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Ends the program with an error and its causes in one line.
fn temporary(error: impl std::error::Error) -> Exit {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Exit::new(run::TEMPORARY, text)
}
