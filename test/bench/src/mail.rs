//! Messages over SMTP until they are files in Maildirs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::{Builder, Installation};

use crate::Arguments;
use crate::case::Case;
use crate::load::Load;
use crate::tree::{Sampler, Usage};

/// How long deliveries may take after the last 250.
const DELIVERY_MAX: Duration = Duration::from_secs(120);
/// The hash of no password.
const NO_PASSWORD: &str = "$6$bench$";
/// How often Maildirs are counted while waiting.
const POLL: Duration = Duration::from_millis(10);

/// What one run gave.
pub struct Figures {
    /// From the first connection to the last 250.
    pub accepted_per_second: f64,
    /// From the first connection to the last file.
    pub delivered_per_second: f64,
    p50: Duration,
    p99: Duration,
    usage: Usage,
}

/// What the runs of a case leave on the disk until it is over.
#[derive(Default)]
struct Remains {
    ours: Vec<tempfile::TempDir>,
    theirs: Vec<std::sync::Arc<tempfile::TempDir>>,
}

/// Runs of both servers in turn, and the median of their ratios: pairs, since
/// the machine's speed drifts.
pub fn measure_case(case: &Case, arguments: &Arguments) {
    println!(
        "{}: {} messages of {} bytes, {} recipients each, over {} connections to {} users",
        case.name, case.messages, case.bytes, case.recipients, case.connections, case.users
    );
    println!(
        "{:<10} {:>10} {:>11} {:>9} {:>9} {:>6} {:>9} {:>9}",
        "server",
        "accepted/s",
        "delivered/s",
        "p50 250",
        "p99 250",
        "CPU s",
        "CPU ms/m",
        "peak MiB"
    );
    // Removing thousands of files is work the next run would pay for.
    let mut remains = Remains::default();
    let mut ratios = Vec::new();
    for _ in 0..arguments.runs {
        let ours = arguments
            .wants("indimail")
            .then(|| indimail(case, &mut remains));
        ours.iter().for_each(|ours| print("indimail", case, ours));
        let theirs = arguments
            .wants("postfix")
            .then(|| postfix(case, &mut remains));
        theirs
            .iter()
            .for_each(|theirs| print("postfix", case, theirs));
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            ratios.push(ours.delivered_per_second / theirs.delivered_per_second);
        }
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("delivered per second, indimail to postfix: {median:.2}");
    }
}

fn print(server: &str, case: &Case, figures: &Figures) {
    let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let cpu = figures.usage.cpu.as_secs_f64();
    println!(
        "{server:<10} {:>10.0} {:>11.0} {:>9} {:>9} {cpu:>6.2} {:>9.2} {:>9.0}",
        figures.accepted_per_second,
        figures.delivered_per_second,
        milliseconds(figures.p50),
        milliseconds(figures.p99),
        cpu * 1e3 / case.deliveries() as f64,
        figures.usage.peak_bytes as f64 / f64::from(1 << 20),
    );
}

fn indimail(case: &Case, remains: &mut Remains) -> Figures {
    let setup = Builder::new("bench.example");
    add_users(&setup, case.users);
    let server = setup.start();
    let figures = deliver(case, &server);
    remains.ours.push(server.into_directory());
    figures
}

/// Adds user0 and so on.
pub fn add_users(setup: &Builder, count: usize) {
    for n in 0..count {
        // Hashing a password for each would take longer than the load.
        let arguments = ["-e", &format!("user{n}@bench.example"), NO_PASSWORD];
        testkit::run(setup.tool("vadduser").args(arguments), b"").good();
    }
}

/// One run on a server with enough users.
pub fn deliver(case: &Case, server: &Installation) -> Figures {
    let maildirs = (0..case.users)
        .map(|n| server.maildir(&format!("user{n}")))
        .collect();
    measure(case, server.port(25), server.pid(), maildirs)
}

fn postfix(case: &Case, remains: &mut Remains) -> Figures {
    let server = testkit::Postfix::start("bench.example", "");
    let maildirs = (0..case.users)
        .map(|n| server.maildir(&format!("user{n}")))
        .collect();
    let figures = measure(case, server.port, server.pid(), maildirs);
    remains.theirs.push(server.into_directory());
    figures
}

fn measure(case: &Case, port: u16, pid: u32, maildirs: Vec<PathBuf>) -> Figures {
    let sampler = Sampler::start(pid);
    let there = files(&maildirs);
    let started = Instant::now();
    let load = Load {
        port,
        case: *case,
        users: (0..case.users)
            .map(|n| format!("user{n}@bench.example"))
            .collect(),
    };
    let mut times = load.run();
    let accepted = started.elapsed();
    let deadline = Instant::now() + DELIVERY_MAX;
    while files(&maildirs) < there + case.deliveries() {
        assert!(
            Instant::now() < deadline,
            "only {} messages arrived",
            files(&maildirs)
        );
        std::thread::sleep(POLL);
    }
    let delivered = started.elapsed();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let per_second = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    Figures {
        accepted_per_second: per_second(case.messages, accepted),
        delivered_per_second: per_second(case.deliveries(), delivered),
        p50: at(50),
        p99: at(99),
        usage: sampler.finish(),
    }
}

fn files(maildirs: &[PathBuf]) -> usize {
    let count =
        |maildir: &PathBuf| std::fs::read_dir(maildir.join("new")).map_or(0, Iterator::count);
    maildirs.iter().map(count).sum()
}
