//! ucspi-tools: programs for network services, one program under several
//! names.
//!
//! `tcpserver` and `tcpclient` run a program on a connection, `rblsmtpd` keeps
//! bad clients from one, `qmail-greyd` lets new ones wait, `tcprules CDB TMP < RULES` compiles rules,
//! `tcprulescheck CDB` shows what holds for a client. All run as whoever calls
//! them and refuse to be set-uid. Exit codes: 100 for wrong usage and bad
//! lines, 111 for trouble.

mod greyd;
mod letters;
mod names;
mod rblsmtpd;
mod tcpclient;
mod tcprules;
mod tcprulescheck;
mod tcpserver;
mod variables;

use std::ffi::OsString;
use std::process::ExitCode;

use run::{Exit, PERMANENT, family};

const USAGE: &str = "usage: ucspi-tools tcpserver [OPTION...] HOST PORT PROGRAM [ARG...]
       ucspi-tools tcpclient [OPTION...] HOST PORT PROGRAM [ARG...]
       ucspi-tools rblsmtpd [OPTION...] PROGRAM [ARG...]
       ucspi-tools qmail-greyd [OPTION...] IPADDR CONTEXTFILE
       ucspi-tools tcprules CDB TMP < RULES
       ucspi-tools tcprulescheck CDB

Also works under the names of its tools, by link.
Exit codes: 0 done, 100 wrong use or a bad line, 111 trouble.";

type Tool = fn(&[String]) -> Result<(), Exit>;

const TOOLS: [(&str, Tool); 9] = [
    ("tcpserver", tcpserver::run),
    ("tcpclient", tcpclient::run),
    ("rblsmtpd", rblsmtpd::run),
    ("tcprules", tcprules::run),
    ("tcprulescheck", tcprulescheck::run),
    ("qmail-greyd", |words| greyd::run("qmail-greyd", words)),
    ("qmail-greymd", |words| greyd::run("qmail-greymd", words)),
    ("greymd", |words| greyd::run("greymd", words)),
    ("greydaemon", |words| greyd::run("greydaemon", words)),
];

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = family::choose(&TOOLS, |(name, _)| name, &mut arguments);
    run::process(called.map_or("ucspi-tools", |(name, _)| name), || {
        family::refuse_set_uid()?;
        if let Some((_, tool)) = called {
            let text = |word: OsString| {
                let not_text = |_| Exit::new(PERMANENT, "an argument is not UTF-8");
                word.into_string().map_err(not_text)
            };
            let words: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
            return tool(&words);
        }
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        run::usage::no_options("ucspi-tools", &arguments)?;
        Err(run::usage::misused(USAGE))
    })
}
