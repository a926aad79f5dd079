//! qmail-rspawn: starts remote deliveries.
//!
//! Starts as `qmailr` with the queue's `mess` as working directory and stays
//! that. Commands from qmail-send on 0, reports to it on 1. Each delivery is
//! `qmail-remote domain sender qqeh size recipient` with the message on its
//! descriptor 0. At its start it forgets which hosts were down
//! (`lock/tcpto`). Exits 0 when descriptor 0 ends and all deliveries have
//! ended.

mod report;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use os::child::Ended;
use run::spawner::{Delivery, Next, Program, Spawn};

const USAGE: &str = "usage: qmail-rspawn
Started by qmail-start with the queue's mess as working directory.
0: commands from qmail-send; 1: reports to it.
QMAILREMOTE: program run instead of qmail-remote.
Exit codes: 0 end of input, 100 wrong use, 111 it lost qmail-send.
";

fn main() -> ExitCode {
    run::process("qmail-rspawn", || {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        run::usage::no_options("qmail-rspawn", &arguments)?;
        let home = run::Home::find();
        let other = std::env::var_os(settings::sending::QMAILREMOTE.variable);
        let mut deliveries = Deliveries {
            remote: other
                .filter(|value| !value.is_empty())
                .map(|value| home.program(&value))
                .unwrap_or_else(|| home.bin().join("qmail-remote").into()),
        };
        if let Err(error) = forget_down_hosts() {
            run::warn("qmail-rspawn", &format!("cannot clear lock/tcpto: {error}"));
        }
        close_sandbox();
        run::spawner::serve(&mut deliveries).map_err(|error| {
            run::Exit::new(
                run::TEMPORARY,
                format!("lost qmail-send or a pipe: {error}"),
            )
        })
    })
}

/// A program of the site's own choice may need what a sandbox refuses, as
/// set-uid programs or a spool.
fn close_sandbox() {
    let own = std::env::var_os(settings::sending::QMAILREMOTE.variable);
    if own.is_none_or(|name| name.is_empty()) {
        run::sandboxes::close(run::sandboxes::rspawn(Path::new("..")), "qmail-rspawn");
    }
}

/// Zeroes the table in place: qmail-remote processes may have it open.
fn forget_down_hosts() -> io::Result<()> {
    let table = File::options().write(true).open("../lock/tcpto");
    let table = match table {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        table => table?,
    };
    let length = usize::try_from(table.metadata()?.len()).unwrap_or(0);
    const TABLE_BYTES_MAX: usize = 64 * 1024;
    table.write_all_at(&vec![0; length.min(TABLE_BYTES_MAX)], 0)
}

struct Deliveries {
    remote: OsString,
}

impl Spawn for Deliveries {
    type Stage = ();

    fn begin(&mut self, delivery: Delivery) -> Next<()> {
        let recipient = [&delivery.local[..], b"@", &delivery.domain].concat();
        let mut command = Command::new(&self.remote);
        command
            // A program in its place knows by the name in whose.
            .arg0("qmail-remote")
            .arg(OsStr::from_bytes(&delivery.domain))
            .arg(OsStr::from_bytes(&delivery.sender))
            .arg(OsStr::from_bytes(&delivery.extra_headers))
            .arg(delivery.bytes.to_string())
            .arg(OsStr::from_bytes(&recipient))
            .current_dir("/")
            .env_remove(settings::sending::QMAILLOCAL.variable)
            .env("MESSID", OsStr::from_bytes(&delivery.id));
        for (name, value) in run::variables::of_headers(&delivery.env_headers) {
            command.env(name, OsStr::from_bytes(&value));
        }
        let program = Program {
            command,
            identity: None,
            input: delivery.message.into(),
            unable: "Unable to run qmail-remote.\n",
        };
        Next::Run(Box::new(program), ())
    }

    fn ended(&mut self, (): (), ended: Ended, output: Vec<u8>) -> Next<()> {
        let (outcome, text) = report::of_delivery(ended, &output);
        Next::Report(outcome, text)
    }
}
