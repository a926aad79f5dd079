//! A queue deep in messages for a host that cannot be reached: what comes in
//! and what can be delivered must not feel it.

use std::time::{Duration, Instant};

use testkit::{Builder, Installation};

use crate::Arguments;
use crate::case::{CASES, Case};
use crate::load::Load;
use crate::mail;
use crate::tree;

/// What `--case` calls it.
pub const NAMES: [&str; 1] = ["deep"];

const MESSAGES: usize = 100_000;
const MESSAGE_BYTES: usize = 512;
const DELIVERY_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// Fills a queue and looks at what that changes.
pub fn measure(arguments: &Arguments, _: &str) {
    let count = arguments.messages.unwrap_or(MESSAGES);
    println!("deep: {count} messages wait for another host");
    let setup = Builder::new("bench.example");
    mail::add_users(&setup, CASES[0].users);
    setup.control("rcpthosts", "bench.example\ndead.example\n");
    let mut server = setup.start();
    server.indimail(&["queue", "hold", "remote"]).good();
    flow(&server, "an empty queue");
    let before = tree::memory_by_name(server.pid(), "qmail-send");
    let load = Load {
        port: server.port(25),
        case: Case {
            messages: count,
            bytes: MESSAGE_BYTES,
            ..CASES[0]
        },
        users: vec!["somebody@dead.example".to_owned()],
    };
    let started = Instant::now();
    load.run();
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    println!("{:<34} {per_second:>8.0}/s accepted", "filling it");
    flow(&server, "the deep queue");
    let grown = tree::memory_by_name(server.pid(), "qmail-send").saturating_sub(before);
    let each = grown as f64 / count as f64;
    println!("{:<34} {each:>8.0} bytes a message", "qmail-send grew by");
    first_delivery(&mut server);
}

fn flow(server: &Installation, into: &str) {
    let figures = mail::deliver(&CASES[0], server);
    let (accepted, delivered) = (figures.accepted_per_second, figures.delivered_per_second);
    println!(
        "{:<34} {accepted:>8.0}/s accepted {delivered:>8.0}/s delivered",
        format!("into {into}")
    );
}

/// How long a message that was queued while nothing ran waits for its
/// delivery after the start.
fn first_delivery(server: &mut Installation) {
    server.stop();
    let new = server.maildir("user0").join("new");
    let files = || std::fs::read_dir(&new).map_or(0, Iterator::count);
    let there = files();
    let mut inject = server.tool("qmail-inject");
    testkit::run(inject.arg("user0@bench.example"), b"Subject: first\n\nx\n").good();
    let started = Instant::now();
    server.restart();
    let ready = started.elapsed();
    while files() == there {
        assert!(started.elapsed() < DELIVERY_MAX, "nothing is delivered");
        std::thread::sleep(POLL);
    }
    let (ready, first) = (ready.as_secs_f64(), started.elapsed().as_secs_f64());
    println!(
        "{:<34} {first:>8.2} s (ready after {ready:.2} s)",
        "first delivery after a start"
    );
}
