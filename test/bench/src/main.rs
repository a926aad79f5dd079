//! The benchmark: by us and by Debian's Postfix, on the same machine in the
//! same run.
//!
//! Both are durable: a 250 means on disk, a file in a Maildir is synced.

mod case;
mod children;
mod deep;
mod floor;
mod idle;
mod lists;
mod load;
mod mail;
mod sessions;
mod talk;
mod tls;
mod tree;
mod users;

use clap::Parser;

use case::{CASES, Case};

/// Measures throughput, mostly against Postfix.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this load, or "all"
    #[arg(long, default_value = "kept")]
    case: String,
    /// Other than its number of messages, sessions or users
    #[arg(long)]
    messages: Option<usize>,
    /// Other than its bytes of each message
    #[arg(long)]
    bytes: Option<usize>,
    /// Other than its connections at once
    #[arg(long)]
    connections: Option<usize>,
    /// Other than its number of users
    #[arg(long)]
    users: Option<usize>,
    /// Runs of each server, in turn
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only this server: indimail or postfix
    #[arg(long)]
    only: Option<String>,
}

impl Arguments {
    fn wants(&self, server: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == server)
    }
}

/// What is measured under a name.
type Measure = fn(&Arguments, &str);

/// All but the loads of whole messages.
const OTHERS: [(&[&str], Measure); 6] = [
    (&children::NAMES, children::measure),
    (&deep::NAMES, deep::measure),
    (&sessions::NAMES, sessions::measure),
    (&idle::NAMES, idle::measure),
    (&lists::NAMES, lists::measure),
    (&users::NAMES, users::measure),
];

fn main() {
    let arguments = Arguments::parse();
    let is_wanted = |name: &str| ["all", name].contains(&&arguments.case[..]);
    let mut is_known = false;
    for case in CASES.into_iter().filter(|case| is_wanted(case.name)) {
        is_known = true;
        let case = Case {
            messages: arguments.messages.unwrap_or(case.messages),
            bytes: arguments.bytes.unwrap_or(case.bytes),
            connections: arguments.connections.unwrap_or(case.connections),
            users: arguments.users.unwrap_or(case.users),
            ..case
        };
        mail::measure_case(&case, &arguments);
    }
    for (names, measure) in OTHERS {
        for name in names.iter().filter(|name| is_wanted(name)) {
            is_known = true;
            measure(&arguments, name);
        }
    }
    if !is_known {
        let others = OTHERS.iter().flat_map(|(names, _)| names.iter().copied());
        let names: Vec<&str> = CASES.iter().map(|case| case.name).chain(others).collect();
        let (case, names) = (arguments.case, names.join(", "));
        eprintln!("bench: no case {case}; there are {names}");
        std::process::exit(100);
    }
}
