//! `indimail ledger`: accepted = delivered + bounced + discarded + queued,
//! message by message, from the trace log, qmail-send's log and the queue; and
//! every 250 that qmail-smtpd's log has was the truth.
//!
//! All logs are read once, as one stream in order of time, over all rotated
//! files. Only messages that are not settled are kept in memory, so it is
//! bounded by what is in the queue and under way, not by the logs. Each log
//! stands in for what a process that was killed did not get into the other.

mod account;
mod answers;
mod book;
mod read;
mod stock;
mod timed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use queue::{Layout, Queues};
use run::{Home, Settings};
use serde::Serialize;

use crate::print::say;
use crate::{Outcome, site};
use book::Book;

/// How often the books are read again while something young does not fit: it
/// may be between two files, or its line on its way to the log.
const READINGS_MAX: usize = 4;
const PAUSE: Duration = Duration::from_millis(1500);
/// What is older than this does not settle by waiting.
const YOUNG_SECONDS: f64 = 60.0;
/// Differences a person is shown.
const SHOWN_MAX: usize = 50;
/// Log directories of qmail-send begin with one of these.
const SEND_LOGS: [&str; 3] = ["deliver", "qmail-send", "send"];
/// And those of qmail-smtpd with one of these.
const SMTP_LOGS: [&str; 2] = ["smtpd", "qmail-smtpd"];

/// Arguments of `indimail ledger`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Log directory of a qmail-send, as multilog writes it [default: those
    /// below log]
    #[arg(long = "log", value_name = "DIR")]
    logs: Vec<PathBuf>,
    /// Root of the installation [default: the one this program is in, else
    /// /var/indimail for root and ./indimail-data for others]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Debug, Default, Serialize)]
pub struct Balance {
    /// Messages the queue took.
    pub accepted: u64,
    /// Of those, every recipient has it.
    pub delivered: u64,
    /// Some recipient failed, and the sender was told.
    pub bounced: u64,
    /// Dropped by a rule or an operator.
    pub discarded: u64,
    /// Still in the queue.
    pub queued: u64,
    /// Of those in the queue, accepted before the logs begin.
    pub queued_before_the_logs: u64,
    /// By which rule how many were discarded.
    pub rules: BTreeMap<String, u64>,
    /// Texts in the queue without an envelope: being written or removed.
    pub texts_alone: u64,
    /// Unix time of the first line of the logs.
    pub since: Option<i64>,
    /// What does not fit.
    pub differences: Vec<Difference>,
}

/// A message that does not fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its trace, if that is known.
    pub trace: Option<String>,
    /// Its queue.
    pub queue: String,
    /// Its number there.
    pub message: Option<u64>,
    /// Its sender, if that is known.
    pub sender: Option<String>,
    /// When it was accepted, Unix time.
    pub accepted: i64,
    /// What is wrong with it.
    pub problem: String,
    /// It may yet settle.
    #[serde(skip)]
    pub is_young: bool,
}

/// Runs the command; exit code 1 when something does not fit.
pub fn run(arguments: &Arguments) -> Outcome {
    let home = site::home(arguments.root.as_deref())?;
    let settings = Settings::of_process(&home);
    let queues = Queues::configured(&home, &settings)?.existing(&settings);
    if queues.is_empty() {
        let root = home.root().display();
        return Err(format!(
            "there is no queue in {root}, or it is not for this user; give --root, or run this \
             as root or as the owner of the installation"
        )
        .into());
    }
    let layouts = queues
        .into_iter()
        .map(Layout::detect)
        .collect::<Result<Vec<_>, _>>()?;
    let logs = match arguments.logs.is_empty() {
        true => logs_of(&home, &SEND_LOGS)?,
        false => arguments.logs.clone(),
    };
    let smtp = logs_of(&home, &SMTP_LOGS)?;
    let mut balance = balance(&home, &logs, &smtp, &layouts)?;
    for _ in 1..READINGS_MAX {
        if !balance
            .differences
            .iter()
            .any(|difference| difference.is_young)
        {
            break;
        }
        std::thread::sleep(PAUSE);
        balance = self::balance(&home, &logs, &smtp, &layouts)?;
    }
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&balance)?);
    } else {
        print(&balance);
    }
    Ok(match balance.differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn logs_of(home: &Home, names: &[&str]) -> Result<Vec<PathBuf>, String> {
    let directory = home.log();
    let entries = std::fs::read_dir(&directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        names.iter().any(|begin| name.starts_with(begin))
    };
    let mut logs: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_one)
        .collect();
    logs.sort();
    Ok(logs)
}

/// Reads the logs, then the queues.
fn balance(
    home: &Home,
    logs: &[PathBuf],
    smtp: &[PathBuf],
    layouts: &[Layout],
) -> Result<Balance, Box<dyn std::error::Error>> {
    let only = match layouts {
        [only] => Some(only.name()),
        _ => None,
    };
    let mut book = Book::new(only);
    let mut merged =
        read::Merged::open(&home.log().join("trace"), logs, smtp).map_err(|error| {
            format!("{error}; run this as root or as the owner of the installation")
        })?;
    while let Some((time, line)) = merged.next_line()? {
        book.enter(time, line);
    }
    let now = os::clock::unix_seconds() as f64;
    Ok(stock::take(book, layouts, now)?)
}

fn print(balance: &Balance) {
    let since = balance.since.map_or(String::new(), |since| {
        format!("  since {}", tai::header_date(since))
    });
    say!("accepted     {:>8}{since}", balance.accepted);
    say!("delivered    {:>8}", balance.delivered);
    say!("bounced      {:>8}", balance.bounced);
    let rules: Vec<String> = balance
        .rules
        .iter()
        .map(|(rule, count)| format!("{count} {rule}"))
        .collect();
    say!(
        "discarded    {:>8}  {}",
        balance.discarded,
        rules.join(", ")
    );
    let before = match balance.queued_before_the_logs {
        0 => String::new(),
        n => format!("  {n} of them accepted before the logs begin"),
    };
    say!("queued       {:>8}{before}", balance.queued);
    say!("differences  {:>8}", balance.differences.len());
    if 0 < balance.texts_alone {
        say!(
            "texts without envelope (being written, or left by a crash): {}",
            balance.texts_alone
        );
    }
    for difference in balance.differences.iter().take(SHOWN_MAX) {
        let number = difference
            .message
            .map_or("?".to_owned(), |id| id.to_string());
        let trace = difference.trace.as_deref().unwrap_or("without trace");
        let from = difference
            .sender
            .as_deref()
            .map_or(String::new(), |s| format!(" from <{s}>"));
        say!(
            "  {}/{number} ({trace}){from}, accepted {}: {}",
            difference.queue,
            tai::header_date(difference.accepted),
            difference.problem
        );
    }
    if SHOWN_MAX < balance.differences.len() {
        say!("  and more; --json tells all");
    }
    match balance.differences.is_empty() {
        true => say!("every accepted message is accounted for"),
        false => say!("`indimail trace NUMBER` tells the story of a message"),
    }
}
