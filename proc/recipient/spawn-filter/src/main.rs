//! spawn-filter: passes a message through filters before it is delivered
//! (smtp-receiving.md §5.5).
//!
//! `QMAILLOCAL` or `QMAILREMOTE` names it to a spawner, which starts it as it
//! would start qmail-local (as the recipient) or qmail-remote (as `qmailr`),
//! with the same arguments and under that name; by the name it knows which
//! one it stands before, and becomes it when the message passed. The message
//! is on descriptor 0; what it has to say itself it says on 1 as that program
//! does.
//!
//! Exit codes: those of qmail-local(8) or qmail-remote(8).

mod delivery;
mod passage;
mod rules;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use run::{Exit, Home, Settings};

use delivery::Delivery;
use passage::Passage;

const USAGE: &str = "\
usage: spawn-filter, named by QMAILLOCAL or QMAILREMOTE and started in its place

Passes the message on descriptor 0 through SPAMFILTER (control/spamfilter) and
FILTERARGS (control/filterargs), and becomes the program it stands before, whose
name it was started under.
Exit codes: those of qmail-local and of qmail-remote, 100 wrong use.
";

fn main() -> ExitCode {
    run::process("spawn-filter", || {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let arguments: Vec<OsString> = arguments.collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(0);
        }
        let words = arguments.into_iter().map(OsStringExt::into_vec);
        let delivery =
            Delivery::parse(&name, words.collect()).ok_or_else(|| run::usage::misused(USAGE))?;
        let home = Home::find();
        let settings = Settings::of_process(&home);
        // Only what is not delivered comes back.
        let outcome = Passage::begin(&home, &settings, delivery).and_then(Passage::go);
        Ok::<u8, Exit>(outcome.unwrap_or_else(|outcome| outcome.report()))
    })
}
