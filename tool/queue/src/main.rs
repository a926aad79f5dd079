//! Looks at the queue, and builds the tables that mail programs look things
//! up in.
//!
//! One program with several names: it acts by the name it is called by, else
//! by its first argument. Runs as whoever calls it, and refuses to run
//! set-uid. Exit codes: 0, 100 (wrong use), 111 (did not work).

mod counts;
mod fix;
mod ipme;
mod list_cdb;
mod newu;
mod options;
mod output;
mod pw2u;
mod qread;
mod queues;
mod rm;
mod showctl;
mod tcpto;

use std::ffi::OsString;
use std::process::ExitCode;

use run::{Exit, Home, family};

/// A command of this program.
struct Tool {
    name: &'static str,
    usage: &'static str,
    run: fn(&Home, Vec<String>) -> Result<(), Exit>,
}

const EXIT_CODES: &str = "\nExit codes: 0 done, 100 wrong use, 111 it did not work.";

/// Options longer than a letter; a tool that does not have one of them refuses
/// it itself.
const LONG_OPTIONS: [&str; 2] = ["--json", "--all"];

const TOOLS: &[Tool] = &[
    Tool {
        name: "qmail-newu",
        usage: newu::USAGE,
        run: newu::run,
    },
    Tool {
        name: "qmail-pw2u",
        usage: pw2u::USAGE,
        run: pw2u::run,
    },
    Tool {
        name: "qmail-qstat",
        usage: counts::USAGE,
        run: counts::run,
    },
    Tool {
        name: "qmail-qread",
        usage: qread::USAGE,
        run: qread::run,
    },
    Tool {
        name: "qmail-newmrh",
        usage: list_cdb::NEWMRH_USAGE,
        run: list_cdb::newmrh,
    },
    Tool {
        name: "qmail-cdb",
        usage: list_cdb::CDB_USAGE,
        run: list_cdb::run,
    },
    Tool {
        name: "qmail-tcpto",
        usage: tcpto::TCPTO_USAGE,
        run: tcpto::tcpto,
    },
    Tool {
        name: "qmail-tcpok",
        usage: tcpto::TCPOK_USAGE,
        run: tcpto::tcpok,
    },
    Tool {
        name: "ipmeprint",
        usage: ipme::USAGE,
        run: ipme::run,
    },
    Tool {
        name: "qmail-rm",
        usage: rm::USAGE,
        run: rm::run,
    },
    Tool {
        name: "queue-fix",
        usage: fix::USAGE,
        run: fix::run,
    },
    Tool {
        name: "qmail-showctl",
        usage: showctl::USAGE,
        run: showctl::run,
    },
];

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let chosen = family::choose(TOOLS, |tool| tool.name, &mut arguments);
    run::process(chosen.map_or("queue-tools", |tool| tool.name), || {
        family::refuse_set_uid()?;
        let Some(tool) = chosen else {
            let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
            let help = format!(
                "usage: queue-tools NAME ARGUMENTS...\n\nNAME is one of {}.{EXIT_CODES}",
                names.join(", ")
            );
            if run::usage::help(&help, &arguments) {
                return Ok(());
            }
            return Err(run::usage::misused(&help));
        };
        let text = |argument: OsString| {
            let not_text = |_| Exit::new(run::PERMANENT, "an argument is not UTF-8");
            argument.into_string().map_err(not_text)
        };
        let arguments: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
        if run::usage::help(tool.usage, &arguments) {
            return Ok(());
        }
        let is_known = |argument: &&String| LONG_OPTIONS.contains(&argument.as_str());
        let others: Vec<String> = arguments.iter().filter(|a| !is_known(a)).cloned().collect();
        run::usage::no_options(tool.name, &others)?;
        (tool.run)(&Home::find(), arguments)
    })
}
