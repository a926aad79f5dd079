//! `indimail status`: services, queue, recent problems.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::{Outcome, Root, site};

/// How many recent problems are shown.
const PROBLEMS_MAX: usize = 10;
/// How much of the end of each log is looked at.
const LOG_BYTES_MAX: u64 = 256 * 1024;
/// Words that make a log line a problem.
const PROBLEM_WORDS: [&str; 6] = [
    ": fatal: ",
    ": warn: ",
    "alert: ",
    "warning: ",
    "failure: ",
    "deferral: ",
];

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
        services: services(&home.service())?,
        queues: queues(&home.queues()),
        problems: problems(&home.log()),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    let all_up = status.services.iter().all(|service| service.up);
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
            _ => format!("down {} s", service.seconds),
        };
        println!("{:<22} {state}", service.name);
    }
    for queue in &status.queues {
        let QueueStatus {
            name,
            messages,
            todo,
        } = queue;
        println!("{name:<22} {messages} messages, {todo} not yet preprocessed");
    }
    if status.problems.is_empty() {
        println!("no recent problems");
    } else {
        println!("recent problems:");
        status.problems.iter().for_each(|line| println!("  {line}"));
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
    }
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

/// The last problem lines of all logs, in order of time.
pub fn problems(logs: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(logs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(end) = tail(&entry.path().join("current")) else {
            continue;
        };
        for line in end
            .lines()
            .filter(|line| PROBLEM_WORDS.iter().any(|word| line.contains(word)))
        {
            if let Ok(label) = tai::Label::parse(line.as_bytes()) {
                let date = tai::header_date(label.0.seconds);
                lines.push((
                    label.0,
                    format!("{date} {name}: {}", line[25..].trim_start()),
                ));
            }
        }
    }
    lines.sort();
    let skip = lines.len().saturating_sub(PROBLEMS_MAX);
    lines.into_iter().skip(skip).map(|(_, line)| line).collect()
}

/// The end of a log, whole lines only.
fn tail(path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
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
