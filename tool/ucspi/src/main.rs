//! ucspi-tools: rules for network services, one program under two names.
//!
//! `tcprules CDB TMP < RULES` compiles, `tcprulescheck CDB` shows what holds
//! for a client. Both run as whoever calls them and refuse to be set-uid.
//! Exit codes: 100 for wrong usage and bad lines, 111 for trouble with files.

mod tcprules;
mod tcprulescheck;

use std::process::ExitCode;

use run::{Exit, PERMANENT};

const USAGE: &str = "usage: ucspi-tools tcprules CDB TMP < RULES
       ucspi-tools tcprulescheck CDB

Also works under the names of its tools, by link.
Exit codes: 0 done, 100 wrong use or a bad line, 111 trouble with files.";

fn main() -> ExitCode {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default().to_owned();
    let mut rest: Vec<String> = words.collect();
    let tool = match name.as_str() {
        "tcprules" | "tcprulescheck" => name,
        _ if rest.is_empty() => String::new(),
        _ => rest.remove(0),
    };
    match tool.as_str() {
        "tcprules" => run::process("tcprules", || {
            unprivileged().and_then(|()| tcprules::run(&rest))
        }),
        "tcprulescheck" => run::process("tcprulescheck", || {
            unprivileged().and_then(|()| tcprulescheck::run(&rest))
        }),
        "--help" | "-h" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        other if other.starts_with("--") => run::process("ucspi-tools", || {
            run::usage::no_options("ucspi-tools", &[other])
        }),
        _ => run::process("ucspi-tools", || Err::<(), _>(run::usage::misused(USAGE))),
    }
}

fn unprivileged() -> Result<(), Exit> {
    match os::account::is_set_uid() {
        true => Err(Exit::new(PERMANENT, "refuses to run set-uid or set-gid")),
        false => Ok(()),
    }
}
