//! indimail: the one command of an administrator.
//!
//! Runs as whoever calls it; as root it creates the system users and gives
//! each service its own, as anybody else everything runs as the caller.
//! Exit codes: 0 good, 1 something is wrong (said on stderr), 2 usage.

mod check;
mod db;
mod dns_records;
mod explain;
mod first_steps;
mod install;
mod ledger;
mod logins;
mod pages;
mod print;
mod queues;
mod quickstart;
mod ready;
mod reference;
mod running;
mod services;
mod site;
mod status;
mod trace;
mod uninstall;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A complete mail server: set up, run, look after.
#[derive(Debug, Parser)]
#[command(
    name = "indimail",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 good, 1 something is wrong (said on stderr), 2 wrong use"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create or complete an installation for DOMAIN and run it here
    Quickstart(quickstart::Arguments),
    /// Say what is wrong with an installation and how to mend it
    Check(Root),
    /// Show services, queue and recent problems
    Status(Root),
    /// Tell the whole story of a message
    Trace(trace::Arguments),
    /// List the queue, say why messages wait, hold, retry or delete them
    Queue(queues::Arguments),
    /// Prove from logs and queue that no accepted message is lost
    Ledger(ledger::Arguments),
    /// Say where the users are, move them to a database server or back
    Db(db::Arguments),
    /// Explain a control file or variable, or what becomes of a message
    Explain(explain::Arguments),
    /// List users and addresses with too many wrong passwords; forgive them
    Logins(logins::Arguments),
    /// Print what makes a shell complete the words of this command
    Completions(reference::Completions),
    /// Print or write the generated parts of the manual
    #[command(hide = true)]
    Reference(reference::Arguments),
    /// Stop the services and remove what was installed; mail and users stay
    Uninstall(uninstall::Arguments),
}

/// Which installation, and how to print.
#[derive(clap::Args, Debug)]
struct Root {
    /// Root of the installation [default: the one this program is in, else
    /// /var/indimail for root and ./indimail-data for others]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
}

/// What a subcommand returns: a code, or an error that is printed.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    os::signal::ignore_pipe();
    let outcome = match Arguments::parse().command {
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Check(root) => check::run(&root),
        Command::Status(root) => status::run(&root),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Queue(arguments) => queues::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Db(arguments) => db::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Logins(arguments) => logins::run(&arguments),
        Command::Completions(arguments) => reference::complete(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        if print::is_reader_gone(&*error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("indimail: fatal: {error}");
        ExitCode::FAILURE
    })
}
