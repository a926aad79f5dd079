//! adminclient: runs an administration command on another host
//! (virtual-domains.md §15.1).
//!
//! Runs as whoever calls it. Logs in at an indisrvr, sends one command, says
//! on that it will send no more, prints what comes, and ends with the exit
//! code of the command. `RETURNSTATUS` counts only at the start of the last
//! line, after everything: what a command prints cannot be taken for it.
//!
//! Exit codes: those of the command; 100 wrong use or refused, 111 not now.

mod dialogue;
mod options;

use std::process::ExitCode;
use std::sync::Arc;

use run::{Exit, ProgramEnd};
use tokio::net::TcpStream;

use options::Options;

fn main() -> ExitCode {
    run::process("adminclient", || -> Result<ProgramEnd, Exit> {
        let Some(options) = Options::parse(std::env::args().skip(1))? else {
            print!("{}", options::HELP);
            return Ok(ProgramEnd::from(()));
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| temporary(&error))?;
        runtime.block_on(talk(&options)).map(ProgramEnd::from)
    })
}

async fn talk(options: &Options) -> Result<u8, Exit> {
    let place = (options.host.as_str(), options.port);
    let connected = tokio::time::timeout(options.connect, TcpStream::connect(place)).await;
    let failed = |why: &dyn std::fmt::Display| {
        let (host, port) = (&options.host, options.port);
        Exit::new(
            run::TEMPORARY,
            format!("cannot talk to {host} port {port}: {why}"),
        )
    };
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&"no answer")),
    };
    if !options.tls {
        let is_here = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        if !is_here {
            let text = "--tls none is for servers on this machine: it shows the password";
            return Err(Exit::new(run::PERMANENT, text));
        }
        return dialogue::run(stream, options).await;
    }
    let verify = tls::Verify::WebPki {
        bundle: options.authorities.clone(),
    };
    let config = tls::client_config(verify).map_err(|error| temporary(&error))?;
    let name = options.name.as_ref().unwrap_or(&options.host);
    let handshake = tls::connect(Arc::clone(&config), name, stream);
    match tokio::time::timeout(options.connect, handshake).await {
        Ok(Ok(stream)) => dialogue::run(stream, options).await,
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(failed(&"no TLS in time")),
    }
}

/// An end that may be another one later.
fn temporary(error: &dyn std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(error))
}
