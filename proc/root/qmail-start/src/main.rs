//! qmail-start: starts the processes of one queue, each as its own user.
//!
//! Starts as root: qmail-lspawn stays root, qmail-rspawn becomes `qmailr`,
//! two qmail-clean `qmailq`, qmail-todo `qmails`; then this process becomes
//! qmail-send as `qmails`. Anybody else runs all of them as themselves: a
//! single-user installation. The log goes to descriptor 1, or to a logger
//! (as `qmaill`) when one is given. Reads nothing from outside; exits 111
//! when something cannot be started.

mod processes;

use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "usage: qmail-start [defaultdelivery [logger arg ...]]
Runs one queue: QUEUEDIR, else the first of the collection. The log goes to
standard output, or to the logger. TERM ends it when running deliveries have
ended, ALRM tries everything now, HUP reads control files again.
Exit codes: 0 after TERM, 111 something cannot be started.
";
/// What happens to mail of users without a .qmail file.
const DEFAULT_DELIVERY: &str = "./Mailbox";

fn main() -> ExitCode {
    run::process("qmail-start", || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        let mut arguments = arguments.into_iter();
        let default_delivery = arguments.next().unwrap_or_else(|| DEFAULT_DELIVERY.into());
        let logger: Vec<OsString> = arguments.collect();
        Err::<(), _>(processes::start(&default_delivery, &logger))
    })
}
