//! indiapi: administration over HTTP, with JSON.
//!
//! Starts as root or as `qadmin`. It binds its listeners, becomes `qadmin` for
//! good, closes a sandbox without files, programs and network, and only then
//! reads the first byte of a client. Who a token belongs to and what runs for
//! it is up to admind (`run/admin`), which starts the same commands as for
//! indisrvr; here is only what HTTP makes of them.
//!
//! Tokens come from mgmttoken; without one nobody gets anything but the
//! description of the interface (`/v1/openapi.json`). Without TLS it listens
//! on addresses of this machine only.
//!
//! Exit codes: 0 after SIGTERM, 100 wrong usage, 111 anything else.

mod answer;
mod call;
mod command;
mod options;
mod route;
mod server;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use listen::{Certificates, Handshakes};
use os::sandbox::Sandbox;
use run::{Exit, Home, sandboxes};

use options::Options;

const PROGRAM: &str = "indiapi";
/// How long requests have after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// A handshake may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    run::process(PROGRAM, || {
        let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
            print!("{}", options::HELP);
            return Ok(());
        };
        serve(&options, &Home::find())
    })
}

fn serve(options: &Options, home: &Home) -> Result<(), Exit> {
    let listeners = listen::open(PROGRAM, &options.network).map_err(temporary)?;
    os::account::set_umask(0o077);
    sandboxes::close(Sandbox::default(), PROGRAM);
    let server = server::Server {
        admind: home.socket("admin"),
        certificates: Arc::new(Certificates::new(
            PROGRAM,
            home.socket("signer"),
            options.certificate.clone(),
        )),
        handshakes: Handshakes::start(HANDSHAKE_TIMEOUT).map_err(temporary)?,
        mode: options.network.tls,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(temporary)?;
    let outcome = runtime.block_on(async {
        let asked = server.certificates.ask_first(server.mode).await;
        asked.map_err(|text| Exit::new(run::TEMPORARY, text))?;
        run::info(PROGRAM, "ready");
        server.serve(listeners).await.map_err(temporary)
    });
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Ends the program with an error and its causes in one line.
fn temporary(error: impl std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(&error))
}
