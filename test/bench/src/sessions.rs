//! Sessions without mail worth the name: refused recipients, and TLS sessions
//! that log in for a single message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use testkit::{Builder, Postfix, USER_PASSWORD};

use crate::Arguments;
use crate::talk::{Session, connect, message};
use crate::tls::Client;
use crate::tree::Sampler;

/// What `--case` calls them.
pub const NAMES: [&str; 2] = ["refused", "tls"];

/// Who logs in.
const USER: &str = "user0@bench.example";
const MESSAGE_BYTES: usize = 4096;
const CONNECTIONS: usize = 20;
const REFUSED_SESSIONS: usize = 8000;
const TLS_SESSIONS: usize = 1000;

/// One session on a port, from connecting to QUIT.
type Talk = Box<dyn Fn(usize) + Sync>;

/// Runs one of [`NAMES`]: both servers in turn, and the median of the ratios.
pub fn measure(arguments: &Arguments, name: &str) {
    let usual = if name == "tls" {
        TLS_SESSIONS
    } else {
        REFUSED_SESSIONS
    };
    let sessions = arguments.messages.unwrap_or(usual);
    let connections = arguments.connections.unwrap_or(CONNECTIONS);
    println!("{name}: {sessions} sessions, {connections} at once");
    println!(
        "{:<10} {:>10} {:>9} {:>9}",
        "server", "sessions/s", "CPU ms", "peak MiB"
    );
    let run = |server: &str, pid: u32, talk: Talk| {
        let sampler = Sampler::start(pid);
        let per_second = rate(sessions, connections, &talk);
        let usage = sampler.finish();
        let cpu = usage.cpu.as_secs_f64() * 1e3 / sessions as f64;
        let peak = usage.peak_bytes as f64 / f64::from(1 << 20);
        println!("{server:<10} {per_second:>10.0} {cpu:>9.2} {peak:>9.0}");
        per_second
    };
    let mut ratios = Vec::new();
    for _ in 0..arguments.runs {
        let setup = Builder::new("bench.example");
        setup.add_user("user0");
        let path = setup.root().join("certs/servercert.pem");
        let certificate = std::fs::read(path).expect("a certificate");
        let server = arguments.wants("indimail").then(|| setup.start());
        let ours = server.as_ref().map(|server| {
            let port = server.port(if name == "tls" { 587 } else { 25 });
            run("indimail", server.pid(), talk(name, port))
        });
        let theirs = arguments.wants("postfix").then(|| {
            let server =
                Postfix::with_logins("bench.example", &certificate, &[(USER, USER_PASSWORD)]);
            run("postfix", server.pid(), talk(name, server.port))
        });
        ratios.extend(ours.zip(theirs).map(|(ours, theirs)| ours / theirs));
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("sessions per second, indimail to postfix: {median:.2}");
    }
}

fn talk(name: &str, port: u16) -> Talk {
    if name != "tls" {
        return Box::new(move |_| {
            let mut session = Session::start(connect(port));
            session.be_refused("nobody@bench.example");
            session.quit();
        });
    }
    let client = Client::default();
    let response = STANDARD.encode(format!("\0{USER}\0{USER_PASSWORD}"));
    Box::new(move |number| {
        let session = Session::start(connect(port));
        let mut session = session.secured(|stream| client.handshake(stream));
        session.log_in(&response);
        session.deliver(USER, &[USER], &message(number, USER, MESSAGE_BYTES));
        session.quit();
    })
}

/// Sessions a second.
fn rate(sessions: usize, connections: usize, talk: &Talk) -> f64 {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        number if number < sessions => talk(number),
                        _ => return,
                    }
                }
            });
        }
    });
    sessions as f64 / started.elapsed().as_secs_f64()
}
