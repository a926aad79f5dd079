//! qmail-lspawn: starts local deliveries, each as the recipient.
//!
//! Starts as root (in a single-user installation as its owner) with the
//! queue's `mess` as working directory, and stays root: it alone becomes
//! other users. It reads no mail, only envelopes from qmail-send on 0, and
//! reports on 1. Its argument is the default delivery instruction.
//!
//! The owner of virtual mail is served by the delivery worker, so that no
//! process is started for such a delivery; everybody else by qmail-local.
//! uid 0 never gets mail. Exits 0 when descriptor 0 ends and all deliveries
//! have ended.

mod assign;
mod deliveries;
mod report;
mod worker;

use std::process::ExitCode;

const USAGE: &str = "usage: qmail-lspawn defaultdelivery
Started by qmail-start with the queue's mess as working directory.
0: commands from qmail-send; 1: reports to it.
QMAILLOCAL: program run instead of qmail-local; QMAILGETPW: instead of qmail-getpw.
Exit codes: 0 end of input, 100 wrong use, 111 it lost qmail-send.
";

fn main() -> ExitCode {
    run::process("qmail-lspawn", || {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        let default_delivery = arguments.into_iter().next();
        let default_delivery = default_delivery.ok_or_else(|| run::usage::misused(USAGE))?;
        let home = run::Home::find();
        let mut deliveries = deliveries::Deliveries::new(&home, default_delivery);
        run::spawner::serve(&mut deliveries).map_err(|error| {
            run::Exit::new(
                run::TEMPORARY,
                format!("lost qmail-send or a pipe: {error}"),
            )
        })
    })
}
