//! indisrvr: takes administration commands from afar
//! (virtual-domains.md §15.1).
//!
//! Starts as root or as `qadmin`. It binds its listeners, becomes `qadmin` for
//! good, closes a sandbox without files, programs and network, and only then
//! reads the first byte of a client. Who an administrator is and what runs
//! for it is up to admind (`run/admin`); TLS signatures it asks the signer
//! (`run/signer`).
//!
//! The dialogue is that of the original: `Login: `, `Password: `, then lines
//! of a number, a command and its arguments; what the command says, and
//! `RETURNSTATUS` with its exit code at the start of a line.
//!
//! Unlike the original it speaks TLS from the first byte, always, unless
//! `--tls none` allows clients of this machine to go without; arguments in
//! quotes are one; there is no administrator until one is made (mgmtpass).
//!
//! Exit codes: 0 after SIGTERM, 100 wrong usage, 111 anything else.

mod line;
mod options;
mod server;
mod session;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use listen::{Certificates, Handshakes, TlsMode};
use os::sandbox::Sandbox;
use run::{Exit, Home, sandboxes};

use options::Options;

const PROGRAM: &str = "indisrvr";
/// How long running commands have after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// A handshake may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    run::process(PROGRAM, || {
        let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
            print!("{}", options::HELP);
            return Ok(());
        };
        serve(options, &Home::find())
    })
}

fn serve(options: Options, home: &Home) -> Result<(), Exit> {
    let listeners = listen::open(PROGRAM, &options.network).map_err(temporary)?;
    os::account::set_umask(0o077);
    sandboxes::close(Sandbox::default(), PROGRAM);
    let certificates =
        Certificates::new(PROGRAM, home.socket("signer"), options.certificate.clone());
    let addresses = options.network.listen.clone();
    let server = server::Server {
        admind: home.socket("admin"),
        certificates: Arc::new(certificates),
        handshakes: Handshakes::start(HANDSHAKE_TIMEOUT).map_err(temporary)?,
        options,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(temporary)?;
    let outcome = runtime.block_on(async {
        let mode = server.options.network.tls;
        let asked = server.certificates.ask_first(mode).await;
        asked.map_err(|text| Exit::new(run::TEMPORARY, text))?;
        for address in addresses {
            run::line(&format!(
                "{}: IndiServer Ready with Address {}:{} backlog {} SSL={}",
                std::process::id(),
                address.ip(),
                address.port(),
                server.options.backlog,
                u8::from(mode != TlsMode::None),
            ));
        }
        server.serve(listeners).await.map_err(temporary)
    });
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// Ends the program with an error and its causes in one line.
fn temporary(error: impl std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(&error))
}
