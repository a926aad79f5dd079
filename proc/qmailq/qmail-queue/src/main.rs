//! qmail-queue: puts one message into the queue.
//!
//! Set-uid `qmailq`; anyone may call it, with any arguments, environment,
//! limits and descriptors, and none of them is trusted. It never becomes
//! another user: it starts as the queue's owner and stays that. Writes below
//! one queue only.
//!
//! Reads the message on 0 and the envelope on 1: `F` sender NUL, `T`
//! recipient NUL for each recipient, NUL. Exit 0 means that both are on disk;
//! any other exit code (queue-and-delivery.md §3.1.3) leaves nothing behind.
//! After `DEATH` seconds it exits 52 and leaves clean-up to others.
//!
//! Only root and the users of the mail system may choose the queue, name
//! files, have messages scanned (`QHPSI`) or say where a message came from.
//! From anybody else three variables count: `QQEH`, the message's trace, and
//! what the sender wants to be told (`INDIMAIL_DSN`); and those that choose the
//! queue, when the site itself names that queue for somebody's mail.
//! It starts one program, the companion that scans, as its caller.
//!
//! Differs from the original: it syncs unless told not to, an error is also
//! one line on stderr, and arguments are ignored but for `--help`.

mod accept;
mod caller;

use std::process::ExitCode;

use run::{Home, Settings, Tracer};
use scanner::companion::Companion;

const PROGRAM: &str = "qmail-queue";
const HELP: &str = "\
usage: qmail-queue < message 1< envelope

Puts one message into the queue; qmail-inject and sendmail call it.
Descriptor 0: the message. Descriptor 1, read after it: the envelope,
F sender NUL { T recipient NUL } NUL. Exit codes: 0 both are on
disk, 11 to 40 never, others not now; qmail-queue(8) lists them.
";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), accept::Error> {
        let log = caller::log_descriptor();
        os::account::set_umask(0o033);
        // A limit of the caller must be an error that is cleaned up after.
        os::signal::ignore_file_size();
        // Descriptor 1 is for reading, so help goes to stderr. A label of the
        // caller may be the first of several arguments.
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next().is_some_and(|first| first == "--help") && arguments.next().is_none() {
            eprint!("{HELP}");
            return Ok(());
        }
        let home = Home::find();
        let trace = Tracer::id_of_process();
        let caller = caller::Caller::find(&home, log)?;
        let companion = match caller.may_scan {
            true => start_companion(&home)?,
            false => None,
        };
        os::account::clear_environment();
        os::account::settle().map_err(|source| {
            let path = home.root().to_owned();
            queue::Error::Owner { path, source }
        })?;
        os::signal::exit_52_after(caller.seconds_max);
        let tracer = Tracer::connect(&home, PROGRAM);
        run::sandboxes::queue(caller.layout.root()).enter();
        accept::accept(&caller, companion.as_ref(), trace, &tracer)
    })
}

/// A scanner named by a trusted caller runs as that caller and never as us;
/// for root it is the scanner's own user, or the queue's.
fn start_companion(home: &Home) -> Result<Option<Companion>, scanner::Error> {
    let program = home.bin().join(scanner::companion::PROGRAM);
    let ours = os::account::Identity::of_this_process();
    Companion::start(&program, home, &Settings::of_process(home), ours)
}
