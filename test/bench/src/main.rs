//! The benchmark: messages over SMTP until they are files in Maildirs, by us
//! and by Debian's Postfix, on the same machine in the same run.
//!
//! Both are durable: a 250 means on disk, a file in a Maildir is synced.

mod load;
mod tree;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;

use load::Load;
use tree::Usage;

/// How long deliveries may take after the last 250.
const DELIVERY_MAX: Duration = Duration::from_secs(120);
/// How often Maildirs are counted while waiting.
const POLL: Duration = Duration::from_millis(10);

/// Measures SMTP-to-Maildir throughput against Postfix.
#[derive(Debug, Parser)]
struct Arguments {
    /// Messages in all
    #[arg(long, default_value_t = 2000)]
    messages: usize,
    /// Bytes of each message
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// Connections at once
    #[arg(long, default_value_t = 20)]
    connections: usize,
    /// Virtual users the messages go to
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// Runs of each server, in turn
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only this server: indimail or postfix
    #[arg(long)]
    only: Option<String>,
}

/// What one run gave.
struct Figures {
    accepted_per_second: f64,
    delivered_per_second: f64,
    p50: Duration,
    p99: Duration,
    usage: Usage,
}

fn main() {
    let arguments = Arguments::parse();
    let Arguments {
        messages,
        bytes,
        connections,
        users,
        runs,
        ..
    } = arguments;
    println!(
        "{messages} messages of {bytes} bytes over {connections} connections to {users} users"
    );
    println!(
        "{:<10} {:>10} {:>11} {:>9} {:>9} {:>8} {:>9}",
        "server", "accepted/s", "delivered/s", "p50 250", "p99 250", "CPU s", "peak MiB"
    );
    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    for _ in 0..runs {
        if wanted("indimail") {
            print("indimail", &indimail(&arguments));
        }
        if wanted("postfix") {
            print("postfix", &postfix(&arguments));
        }
    }
}

fn print(server: &str, figures: &Figures) {
    let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    println!(
        "{server:<10} {:>10.0} {:>11.0} {:>9} {:>9} {:>8.2} {:>9.0}",
        figures.accepted_per_second,
        figures.delivered_per_second,
        milliseconds(figures.p50),
        milliseconds(figures.p99),
        figures.usage.cpu.as_secs_f64(),
        figures.usage.peak_bytes as f64 / f64::from(1 << 20),
    );
}

fn indimail(arguments: &Arguments) -> Figures {
    let setup = testkit::Builder::new("bench.example");
    (0..arguments.users).for_each(|n| {
        setup.add_user(&format!("user{n}"));
    });
    let server = setup.start();
    let maildirs = (0..arguments.users)
        .map(|n| server.maildir(&format!("user{n}")))
        .collect();
    measure(
        arguments,
        server.port(25),
        server.pid(),
        "bench.example",
        maildirs,
    )
}

fn postfix(arguments: &Arguments) -> Figures {
    let server = testkit::Postfix::start("bench.example", "");
    let maildirs = (0..arguments.users)
        .map(|n| server.maildir(&format!("user{n}")))
        .collect();
    measure(
        arguments,
        server.port,
        server.pid(),
        "bench.example",
        maildirs,
    )
}

fn measure(
    arguments: &Arguments,
    port: u16,
    pid: u32,
    domain: &str,
    maildirs: Vec<PathBuf>,
) -> Figures {
    let sampler = tree::Sampler::start(pid);
    let started = Instant::now();
    let load = Load {
        port,
        messages: arguments.messages,
        bytes: arguments.bytes,
        connections: arguments.connections,
        recipients: (0..arguments.users)
            .map(|n| format!("user{n}@{domain}"))
            .collect(),
    };
    let mut times = load.run();
    let accepted = started.elapsed();
    let deadline = Instant::now() + DELIVERY_MAX;
    while files(&maildirs) < arguments.messages {
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
    let per_second = |time: Duration| arguments.messages as f64 / time.as_secs_f64();
    Figures {
        accepted_per_second: per_second(accepted),
        delivered_per_second: per_second(delivered),
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
