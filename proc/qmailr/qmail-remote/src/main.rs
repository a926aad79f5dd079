//! qmail-remote: delivers one message to another mail server.
//!
//! Started by qmail-rspawn as `qmailr` with `host sender qqeh size
//! recipient...`, the message on 0, the report to 1. It reads the control
//! files and the certificates of `tlshosts`, opens the table of hosts that
//! are down, closes the sandbox, and only then talks to the network.
//!
//! The report is one NUL-ended string for each recipient that got an answer
//! (`r` accepted, `h` refused, `s` later) and one for the message (`K`, `Z`,
//! `D`); the exit code is 0 whenever a report was printed (qmail-remote(8)).
//! Nothing is ever written to 2: it is the same pipe.
//!
//! Differs from the original: recipients are not rewritten by CNAME, IPv6 is
//! used, RFC 7505 is obeyed, a message never leaves with a bare CR or LF, a
//! missing last newline is added, TLS needs no client certificate.

mod bind;
mod conversation;
mod delivery;
mod dkim;
mod failure;
mod hosts;
mod job;
mod own;
mod report;
mod routes;
mod security;
mod setup;
mod stored;
mod tags;
mod tcpto;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use failure::Failure;
use job::Job;

const USAGE: &str = "\
usage: qmail-remote host sender extra-headers size recipient...

Delivers the message on standard input to the recipients at host and prints a
report, records that end in NUL. qmail-rspawn starts it; see qmail-remote(8).
Exit code: 0, the report says what happened; 111 it could not be written.
";

fn main() -> ExitCode {
    run::process("qmail-remote", || {
        let arguments: Vec<Vec<u8>> = std::env::args_os()
            .skip(1)
            .map(OsString::into_vec)
            .collect();
        if arguments.len() == 1 && arguments[0] == b"--help" {
            return std::io::stdout().write_all(USAGE.as_bytes());
        }
        let report = deliver(&arguments).unwrap_or_else(|failure| failure.report());
        std::io::stdout().write_all(&report)
    })
}

fn variable(name: &str) -> Vec<u8> {
    std::env::var_os(name)
        .map(OsStringExt::into_vec)
        .unwrap_or_default()
}

fn deliver(arguments: &[Vec<u8>]) -> Result<Vec<u8>, Failure> {
    let [message, recipient] = wire::dsn::DELIVERY_VARIABLES.map(variable);
    let mut job = Job::parse(arguments)?.with_wishes(&message, &recipient);
    let home = run::Home::find();
    let mut message = stored::Stored::from_standard_input(&job.extra_headers)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| Failure::Resources)?;
    // The resolver wants to know its runtime.
    let inside = runtime.enter();
    let settings = run::Settings::of_process(&home);
    let setup = setup::Setup::read(&home, &settings, &job)?;
    let now = os::clock::unix_seconds();
    let sender = tags::tagged(&settings, &job.host_text, job.sender.as_bytes(), now)?;
    job.send_as(&sender)?;
    drop(inside);
    setup::close_sandbox(&home);
    if setup.signs {
        let signature = dkim::signature(&home, &message)?;
        job.size += signature.len() as u64;
        message.prepend(&signature);
    }
    runtime.block_on(delivery::deliver(&job, &setup, &message))
}
