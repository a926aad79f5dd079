//! `indimail queue`: what is in the queues, why it is still there, and what
//! an operator can do about single messages.
//!
//! Reads the queue's files, asks the running qmail-send when it will try
//! what, and has it do what is wished. Where no qmail-send runs its lock is
//! taken instead.

mod act;
mod list;
mod paint;
mod progress;
mod rule;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use queue::{Layout, Queues, Stored};
use run::{Home, Settings};

use crate::print::say;
use crate::{Outcome, site};

/// Arguments of `indimail queue`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List messages: age, size, sender, recipients left, and what is next
    List(list::Arguments),
    /// Show everything about messages, recipient by recipient
    Show(Messages),
    /// Say for each waiting recipient when it is tried next, by which rule,
    /// and what the last answer was
    Why(Messages),
    /// Hold messages, a channel or a domain until released
    Hold(act::Hold),
    /// Let go what is held; it is tried at once
    Release(act::Targets),
    /// Try messages now; others keep their schedule
    RetryNow(act::Chosen),
    /// Remove messages for good, without telling their senders
    Delete(act::Chosen),
}

/// Where, and how to print.
#[derive(Args, Clone, Debug)]
struct Place {
    /// Root of the installation [default: the one this program is in, else
    /// /var/indimail for root and ./indimail-data for others]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
}

/// Some messages.
#[derive(Args, Debug)]
struct Messages {
    /// Number of a message, as QUEUE/NUMBER when several queues have it
    #[arg(value_name = "MESSAGE", required = true)]
    messages: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::List(arguments) => list::list(arguments),
        Command::Show(messages) => list::show(messages),
        Command::Why(messages) => why::run(messages),
        Command::Hold(hold) => act::hold(hold),
        Command::Release(targets) => act::release(targets),
        Command::RetryNow(chosen) => act::retry(chosen),
        Command::Delete(chosen) => act::delete(chosen),
    }
}

/// The queues of an installation.
pub struct House {
    /// The installation.
    pub home: Home,
    /// Its settings.
    pub settings: Settings,
    /// Its queues.
    pub queues: Vec<Layout>,
}

impl House {
    /// Finds them; an error says what to do.
    pub fn open(root: Option<&std::path::Path>) -> Result<Self, Box<dyn std::error::Error>> {
        let home = site::home(root)?;
        let settings = Settings::of_process(&home);
        let existing = Queues::configured(&home, &settings)?.existing(&settings);
        if existing.is_empty() {
            let root = home.root().display();
            return Err(format!(
                "there is no queue in {root}, or it is not for this user; give --root, or run \
                 this as root or as the owner of the installation"
            )
            .into());
        }
        let mut queues = Vec::new();
        for path in existing {
            queues.push(readable(&path)?);
        }
        Ok(Self {
            home,
            settings,
            queues,
        })
    }

    /// The message that an operator means.
    pub fn message(&self, wanted: &str) -> Result<(&Layout, Stored), Box<dyn std::error::Error>> {
        let (queue, number) = match wanted.rsplit_once('/') {
            Some((queue, number)) => (Some(queue), number),
            None => (None, wanted),
        };
        let id: u64 = number.trim_start_matches('#').parse().map_err(|_| {
            format!("{wanted} is no message number; `indimail queue list` has them")
        })?;
        let mut found = Vec::new();
        for layout in &self.queues {
            if queue.is_none_or(|queue| queue == layout.name())
                && let Some(stored) = queue::read_stored(layout, id)?
            {
                found.push((layout, stored));
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(found), true) => Ok(found),
            (Some(_), false) => {
                Err(format!("several queues have message {id}; write QUEUE/{id}").into())
            }
            (None, _) => Err(format!("no queue has message {wanted}").into()),
        }
    }
}

/// Says what a path means when this user may not read it.
fn readable(path: &std::path::Path) -> Result<Layout, Box<dyn std::error::Error>> {
    std::fs::read_dir(path.join("info/0")).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "{} is not for this user; run this as root or as the owner of the queue",
            path.display()
        ),
        _ => format!(
            "{} cannot be used: {error}; see queue-fix(8)",
            path.display()
        ),
    })?;
    Ok(Layout::detect(path)?)
}

/// What is said of a queue without qmail-send.
pub const NOT_RUNNING: &str = "qmail-send is not running: nothing is tried until it is started";

/// Prints JSON.
fn print_json(value: &impl serde::Serialize) -> Outcome {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(ExitCode::SUCCESS)
}
