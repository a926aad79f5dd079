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

use std::process::ExitCode;

use run::{Exit, PERMANENT};

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
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default().to_owned();
    let mut rest: Vec<String> = words.collect();
    let find = |name: &str| TOOLS.iter().find(|(tool, _)| *tool == name);
    let first = match find(&name) {
        Some(_) => name,
        None if rest.is_empty() => String::new(),
        None => rest.remove(0),
    };
    match (find(&first), first.as_str()) {
        (Some((name, tool)), _) => run::process(name, || unprivileged().and_then(|()| tool(&rest))),
        (None, "--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        (None, other) if other.starts_with("--") => run::process("ucspi-tools", || {
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
