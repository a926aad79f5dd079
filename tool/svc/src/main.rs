//! svc-tools: control of supervised services, and the small programs run
//! scripts use (operations.md §1.5 to §1.9).
//!
//! One program with many names: it does what the name it is called by says,
//! or its first argument. Anybody may call it; it refuses to run set-uid.

mod control;
mod environment;
mod exec;
mod holders;
mod limits;
mod logfifo;
mod splogger;
mod stamp;
mod status;
mod title;

use std::ffi::OsString;
use std::process::ExitCode;

use run::{Exit, family};

/// How every tool is called: its arguments without its name.
type Tool = fn(&[OsString]) -> Result<u8, Exit>;

/// Name, usage, meaning, function.
const TOOLS: [(&str, &str, &str, Tool); 18] = [
    (
        "svc",
        "-udoxpchaitkq12Ur DIRECTORY...",
        "controls services",
        control::svc,
    ),
    (
        "svstat",
        "DIRECTORY...",
        "says whether services are up",
        status::svstat,
    ),
    (
        "svok",
        "DIRECTORY",
        "exits 0 when supervise runs there",
        control::svok,
    ),
    (
        "setuidgid",
        "ACCOUNT CHILD...",
        "runs CHILD as ACCOUNT",
        environment::setuidgid,
    ),
    (
        "envuidgid",
        "ACCOUNT CHILD...",
        "sets UID and GID for CHILD",
        environment::envuidgid,
    ),
    (
        "envdir",
        "[-ci] DIRECTORY CHILD...",
        "sets a variable for each file",
        environment::envdir,
    ),
    (
        "softlimit",
        "[-a|-c|-d|-f|-l|-m|-o|-p|-q|-r|-s|-t NUMBER]... CHILD...",
        "limits CHILD; = means the hard limit",
        limits::softlimit,
    ),
    (
        "setlock",
        "[-nNxX] FILE CHILD...",
        "runs CHILD while it holds a lock",
        holders::setlock,
    ),
    (
        "pgrphack",
        "CHILD...",
        "runs CHILD in a new process group",
        holders::pgrphack,
    ),
    (
        "fghack",
        "CHILD...",
        "stays until CHILD's descendants are gone",
        holders::fghack,
    ),
    (
        "readproctitle",
        "WORDS... .....",
        "shows input in the process list",
        title::readproctitle,
    ),
    (
        "splogger",
        "[TAG [FACILITY]]",
        "hands lines to syslog",
        splogger::splogger,
    ),
    (
        "qmail-cat",
        "FIFO",
        "prints what is written to a FIFO, made when it is not there",
        logfifo::qmail_cat,
    ),
    (
        "qcat",
        "FIFO",
        "is the newer name of qmail-cat",
        logfifo::qmail_cat,
    ),
    (
        "qmail-logfifo",
        "FIFO",
        "is the newest name of qmail-cat",
        logfifo::qmail_cat,
    ),
    ("tai64n", "", "stamps each line", stamp::tai64n),
    (
        "tai64nlocal",
        "",
        "turns stamps into local time",
        stamp::tai64nlocal,
    ),
    (
        "tai64nunix",
        "",
        "turns stamps into Unix seconds",
        stamp::tai64nunix,
    ),
];

const EXIT_CODES: &str =
    "Exit codes: 0 done, 100 wrong use or no, 111 it did not work; with CHILD that of CHILD.";

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = family::choose(&TOOLS, |(name, ..)| name, &mut arguments);
    run::process(called.map_or("svc-tools", |(name, ..)| name), || {
        family::refuse_set_uid()?;
        let Some((name, usage, meaning, tool)) = called else {
            return match run::usage::help(&help(), &arguments) {
                true => Ok(0),
                false => Err(run::usage::misused(&help())),
            };
        };
        let usage = format!("usage: {name} {usage}");
        let usage = usage.trim_end();
        let help = format!("{usage}\n\n{name} {meaning}.\n{EXIT_CODES}");
        if run::usage::help(&help, &arguments) {
            return Ok(0);
        }
        run::usage::no_options(name, &arguments)?;
        tool(&arguments).map_err(|error| {
            // A wrong call is explained.
            let text = match error.code {
                run::PERMANENT if error.text.is_empty() => usage.to_owned(),
                _ => error.text,
            };
            Exit::new(error.code, text)
        })
    })
}

fn help() -> String {
    let lines = TOOLS.iter().map(|(name, usage, meaning, _)| {
        format!("  {:<50} {meaning}\n", format!("{name} {usage}"))
    });
    format!(
        "usage: svc-tools TOOL ARGUMENTS..., or a link with the tool's name\n\n{}{EXIT_CODES}",
        lines.collect::<String>()
    )
}
