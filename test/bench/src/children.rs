//! Deliveries that start programs and forward, beside what starting a program
//! costs at least.
//!
//! The mail is held until all of it is queued; measured is from its release
//! until the queue is empty.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::{Builder, Installation};

use crate::Arguments;
use crate::case::Case;
use crate::floor;
use crate::load::Load;
use crate::tree::Sampler;

/// What a `.qmail` file has deliveries do.
#[derive(Clone, Copy)]
enum Line {
    Program,
    Forward,
}

/// Whose file it is.
#[derive(Clone, Copy)]
enum Owner {
    /// A Unix user: qmail-local runs as that.
    Alias,
    /// A virtual user: vdeliverd delivers.
    Virtual,
}

/// What `--case` calls them.
pub const NAMES: [&str; 4] = [
    "programs",
    "forwards",
    "virtual-programs",
    "virtual-forwards",
];
const KINDS: [(Line, Owner); 4] = [
    (Line::Program, Owner::Alias),
    (Line::Forward, Owner::Alias),
    (Line::Program, Owner::Virtual),
    (Line::Forward, Owner::Virtual),
];

/// How long deliveries may take.
const DELIVERY_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// Runs one of [`NAMES`] so often, the floor before each run.
pub fn measure(arguments: &Arguments, name: &str) {
    let messages = arguments.messages.unwrap_or(crate::case::CASES[0].messages);
    let Some(at) = NAMES.iter().position(|known| *known == name) else {
        return;
    };
    println!("{name}: {messages} messages of 4096 bytes, released at once");
    println!(
        "{:<18} {:>11} {:>9} {:>9} {:>13}",
        "", "delivered/s", "CPU s", "CPU ms/m", "starts worth"
    );
    let mut remains = Vec::new();
    for _ in 0..arguments.runs {
        run(name, KINDS[at], messages, &mut remains);
    }
}

fn run(name: &str, kind: (Line, Owner), messages: usize, remains: &mut Vec<tempfile::TempDir>) {
    let setup = Builder::new("bench.example");
    setup.add_user("user0");
    let nothing = floor::nothing(&setup.root().join("doc"));
    let floor = nothing.as_deref().map(floor::starts_per_second);
    if let Some(floor) = floor {
        println!("{:<18} {floor:>11.0}", "fork and exec");
    }
    let program = nothing.unwrap_or_else(|| "/bin/true".into());
    let address = prepare(&setup, kind, &program);
    let server = setup.start();
    server.indimail(&["queue", "hold", "local"]).good();
    let case = Case {
        messages,
        ..crate::case::CASES[0]
    };
    let load = Load {
        port: server.port(25),
        case,
        users: vec![address],
    };
    load.run();
    assert_eq!(waiting(&server), messages, "all of them are held");
    let sampler = Sampler::start(server.pid());
    let started = Instant::now();
    server.indimail(&["queue", "release", "local"]).good();
    while 0 < waiting(&server) {
        assert!(
            started.elapsed() < DELIVERY_MAX,
            "{} messages wait",
            waiting(&server)
        );
        std::thread::sleep(POLL);
    }
    let per_second = messages as f64 / started.elapsed().as_secs_f64();
    let cpu = sampler.finish().cpu.as_secs_f64();
    let worth = floor.map_or("?".to_owned(), |floor| format!("{:.1}", floor / per_second));
    println!(
        "{name:<18} {per_second:>11.0} {cpu:>9.2} {:>9.2} {worth:>13}",
        cpu * 1e3 / messages as f64
    );
    remains.push(server.into_directory());
}

/// Writes the file; the address whose mail it decides about.
fn prepare(setup: &Builder, (line, owner): (Line, Owner), program: &Path) -> String {
    let line = match line {
        Line::Program => format!("|exec {}\n", program.display()),
        Line::Forward => "&user0@bench.example\n".to_owned(),
    };
    let (path, address) = match owner {
        Owner::Alias => ("alias/.qmail-bench", "bench@mx.bench.example"),
        Owner::Virtual => ("domains/bench.example/.qmail-bench", "bench@bench.example"),
    };
    let path = setup.root().join(path);
    fs::write(&path, line).expect("a .qmail file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&path, mode).expect("its mode");
    address.to_owned()
}

/// Messages in the queue.
fn waiting(server: &Installation) -> usize {
    let mess = server.root().join("queue/queue1/mess");
    let directories = fs::read_dir(mess).into_iter().flatten().flatten();
    directories
        .map(|entry| fs::read_dir(entry.path()).map_or(0, Iterator::count))
        .sum()
}
