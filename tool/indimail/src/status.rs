//! `indimail status`: services, queue, recent problems.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::print::say;
use crate::services::SERVICES;
use crate::{Outcome, Root, site};

/// How many recent problems are shown.
const PROBLEMS_MAX: usize = 10;
/// How much of the end of each log is looked at.
const LOG_BYTES_MAX: u64 = 256 * 1024;
/// Length of the label multilog puts before a line.
const LABEL_CHARACTERS: usize = 25;
/// Words that make a log line a problem.
const PROBLEM_WORDS: [&str; 8] = [
    ": fatal: ",
    ": warn: ",
    "alert: ",
    "warning: ",
    "failure: ",
    "deferral: ",
    // What the shell says of a program it cannot start.
    "ermission denied",
    ": not found",
];
/// A service that lives shorter is starting again and again, when its log
/// says why.
const YOUNG_SECONDS: i64 = 3;
/// How old the last words of such a service may be: starts are a second
/// apart, or up to a minute for the processes of a queue.
const WORDS_SECONDS_MAX: i64 = 10;
/// Where svscan and all supervises write.
pub const SUPERVISION_LOG: &str = "svscan";

/// One service as supervise sees it.
#[derive(Debug, Serialize)]
pub struct ServiceStatus {
    /// Name of its directory.
    pub name: String,
    /// Runs.
    pub up: bool,
    /// Its process, when it runs.
    pub pid: Option<u32>,
    /// Seconds since it was started or stopped.
    pub seconds: i64,
    /// Nobody watches it.
    pub unsupervised: bool,
    /// It was told to be down.
    pub wanted_down: bool,
    /// Why it is not up, or does not stay up: its own last words.
    pub reason: Option<String>,
}

/// A line of a log that tells of a problem.
struct Problem {
    time: tai::UnixTime,
    log: String,
    text: String,
}

/// A queue in numbers.
#[derive(Debug, Serialize)]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Of those, not yet preprocessed.
    pub todo: u64,
}

/// Everything the command says.
#[derive(Debug, Serialize)]
struct Status {
    services: Vec<ServiceStatus>,
    queues: Vec<QueueStatus>,
    problems: Vec<String>,
}

/// Runs the command; exit code 1 when a service is down.
pub fn run(arguments: &Root) -> Outcome {
    let home = site::home(arguments.root.as_deref())?;
    if !crate::quickstart::is_installation(home.root()) {
        let root = home.root().display();
        return Err(format!("{root} is no installation; indimail quickstart makes one").into());
    }
    let status = Status {
        services: services_with_reasons(&home)?,
        queues: queues(&home.queues()),
        problems: shown(problems(&home.log())),
    };
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    let all_up = status
        .services
        .iter()
        .all(|service| service.up && service.reason.is_none());
    Ok(if all_up {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(status: &Status) {
    for service in &status.services {
        let state = match (service.up, service.unsupervised, service.pid) {
            (_, true, _) => "down (not supervised)".to_owned(),
            (true, _, Some(pid)) => format!("up   pid {pid:<7} {} s", service.seconds),
            _ if service.wanted_down => format!("down {} s, as it was told", service.seconds),
            _ => format!("down {} s", service.seconds),
        };
        match &service.reason {
            Some(reason) => say!("{:<22} {state}: {reason}", service.name),
            None => say!("{:<22} {state}", service.name),
        }
    }
    for queue in &status.queues {
        let QueueStatus {
            name,
            messages,
            todo,
        } = queue;
        say!("{name:<22} {messages} messages, {todo} not yet preprocessed");
    }
    if status.problems.is_empty() {
        say!("no recent problems");
    } else {
        say!("recent problems:");
        status.problems.iter().for_each(|line| say!("  {line}"));
    }
}

/// Reads what supervise wrote of every service.
pub fn services(directory: &Path) -> std::io::Result<Vec<ServiceStatus>> {
    let mut services = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            services.push(service(name, &entry.path()));
        }
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(services)
}

/// As [`services`], with the reasons of those that are not up.
pub fn services_with_reasons(home: &run::Home) -> std::io::Result<Vec<ServiceStatus>> {
    let mut services = services(&home.service())?;
    let problems = problems(&home.log());
    for service in &mut services {
        service.reason = reason(service, &home.log(), &problems);
    }
    Ok(services)
}

fn service(name: String, directory: &Path) -> ServiceStatus {
    // The FIFO can be opened without waiting only while supervise reads it.
    let supervised = os::file::open_fifo_write(&directory.join("supervise/ok")).is_ok();
    let bytes = fs::read(directory.join("supervise/status")).unwrap_or_default();
    let (since, pid) = match bytes.first_chunk::<16>() {
        Some(&[label @ .., p0, p1, p2, p3]) => {
            let since = tai::Label::from_bytes(label).0.seconds;
            (Some(since), u32::from_le_bytes([p0, p1, p2, p3]))
        }
        None => (None, 0),
    };
    ServiceStatus {
        name,
        up: supervised && pid != 0,
        pid: (pid != 0).then_some(pid),
        seconds: since.map_or(0, |since| (os::clock::unix_seconds() - since).max(0)),
        unsupervised: !supervised,
        wanted_down: bytes.get(17) == Some(&b'd'),
        reason: None,
    }
}

/// Why a service is down or always starting again: the last problem in its
/// log or in that of supervise; the last line of its log when none of them is
/// called a problem there.
fn reason(service: &ServiceStatus, logs: &Path, problems: &[Problem]) -> Option<String> {
    let starts_again = service.up && service.seconds < YOUNG_SECONDS;
    if service.unsupervised || service.wanted_down || (service.up && !starts_again) {
        return None;
    }
    let known = SERVICES.iter().find(|known| known.name == service.name);
    let log = known.map_or(service.name.as_str(), |known| known.log);
    let oldest = os::clock::unix_seconds() - service.seconds - WORDS_SECONDS_MAX;
    let of_service = |problem: &&Problem| match starts_again {
        true => problem.log == log && problem.text.contains(": fatal: "),
        false => {
            problem.log == log
                || (problem.log == SUPERVISION_LOG
                    && problem.text.contains(&format!("{}/", service.name)))
        }
    };
    let mut last = problems.iter().rev().filter(of_service);
    if let Some(problem) = last.find(|problem| oldest <= problem.time.seconds) {
        return Some(problem.text.clone());
    }
    if starts_again {
        return None;
    }
    let end = tail(&logs.join(log).join("current")).ok()?;
    let line = end.lines().last()?.split_once(' ')?.1.trim_start();
    Some(line.to_owned())
}

fn queues(parent: &Path) -> Vec<QueueStatus> {
    let mut names: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("mess").is_dir())
        .collect();
    names.sort();
    names
        .into_iter()
        .filter_map(|path| queue::Layout::detect(path).ok())
        .map(|layout| QueueStatus {
            name: layout.name(),
            messages: files(&layout.directories("mess")),
            todo: files(&layout.directories("todo")),
        })
        .collect()
}

fn files(directories: &[std::path::PathBuf]) -> u64 {
    let count = |path| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .count() as u64
    };
    directories.iter().map(count).sum()
}

/// The problem lines at the end of all logs, in order of time.
fn problems(logs: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
        let log = entry.file_name().to_string_lossy().into_owned();
        let Ok(end) = tail(&entry.path().join("current")) else {
            continue;
        };
        let is_problem = |line: &&str| PROBLEM_WORDS.iter().any(|word| line.contains(word));
        for line in end.lines().filter(is_problem) {
            if let Ok(label) = tai::Label::parse(line.as_bytes()) {
                let text = line.get(LABEL_CHARACTERS..).unwrap_or_default();
                problems.push(Problem {
                    time: label.0,
                    log: log.clone(),
                    text: text.trim_start().to_owned(),
                });
            }
        }
    }
    problems.sort_by_key(|problem| problem.time);
    problems
}

/// The last different problems. A service that cannot start says the same
/// every second; that must not hide what others say.
fn shown(problems: Vec<Problem>) -> Vec<String> {
    let mut last: Vec<(Problem, u64)> = Vec::new();
    for problem in problems.into_iter().rev() {
        let same = last
            .iter()
            .position(|(known, _)| known.log == problem.log && known.text == problem.text);
        match same {
            Some(at) => last[at].1 += 1,
            None if last.len() < PROBLEMS_MAX => last.push((problem, 1)),
            None => {}
        }
    }
    let line = |(problem, count): &(Problem, u64)| {
        let date = tai::header_date(problem.time.seconds);
        let Problem { log, text, .. } = problem;
        match count {
            1 => format!("{date} {log}: {text}"),
            count => format!("{date} {log}: {text} ({count} times)"),
        }
    };
    last.iter().rev().map(line).collect()
}

/// The end of a log, whole lines only.
fn tail(path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = os::beneath::read(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match start {
        0 => text,
        _ => text
            .split_once('\n')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_and_again_is_shown_once() {
        let problem = |seconds, text: &str| Problem {
            time: tai::UnixTime {
                seconds,
                nanoseconds: 0,
            },
            log: "smtpd.25".to_owned(),
            text: text.to_owned(),
        };
        let mut problems = vec![problem(0, "rare")];
        problems.extend((1..100).map(|second| problem(second, "again")));
        let lines = shown(problems);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with(" smtpd.25: rare"));
        assert!(lines[1].ends_with(" smtpd.25: again (99 times)"));
    }
}
