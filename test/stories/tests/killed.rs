//! kill -9 at any moment, under load: nothing that was answered 250 is lost.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::{Installation, run, wait_for};

use crate::talk::Talk;

const SENDERS: usize = 4;
const KILLS: usize = 25;
const VICTIMS: [&str; 8] = [
    "qmail-smtpd",
    "qmail-queued",
    "qmail-send",
    "qmail-todo",
    "qmail-lspawn",
    "vdeliverd",
    "qmail-clean",
    "inlookup",
];

/// Sends one message; true when it was answered 250.
fn send(port: u16, name: &str) -> bool {
    let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    drop(stream);
    let attempt = std::panic::catch_unwind(|| {
        let mut talk = Talk::to(port);
        talk.say("EHLO killer.example").starts_with("250")
            && talk
                .say("MAIL FROM:<bob@foreign.example>")
                .starts_with("250")
            && talk.say("RCPT TO:<ann@example.org>").starts_with("250")
            && talk.say("DATA").starts_with("354")
            && talk
                .say(&format!("Subject: {name}\r\n\r\nhello\r\n."))
                .starts_with("250")
    });
    attempt.unwrap_or(false)
}

/// The processes of one installation with this program name.
pub fn processes(server: &Installation, name: &str) -> Vec<String> {
    let root = server.root().display().to_string();
    let all = run(Command::new("ps").args(["-eo", "pid,args"]), b"").out;
    all.lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(pid, arguments)| {
            let program = arguments.split_whitespace().next().unwrap_or_default();
            let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            program.ends_with(name) && exe.starts_with(&root)
        })
        .map(|(pid, _)| pid.to_owned())
        .collect()
}

#[test]
fn nothing_acknowledged_is_lost_however_often_processes_die() {
    let server = Installation::start("example.org");
    let acknowledged = Mutex::new(BTreeSet::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (acknowledged, stop, port) = (&acknowledged, &stop, server.port(25));
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("m{sender}-{n}-");
                    if send(port, &name) {
                        acknowledged.lock().unwrap().insert(name);
                    } else {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
        for kill in 0..KILLS {
            std::thread::sleep(Duration::from_millis(150 + (kill as u64 * 37) % 200));
            for pid in processes(&server, VICTIMS[kill % VICTIMS.len()]) {
                run(Command::new("kill").args(["-9", &pid]), b"");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        KILLS < acknowledged.len(),
        "only {} messages were accepted",
        acknowledged.len()
    );
    // Deferred deliveries wait for their schedule; ALRM runs them now.
    let started = Instant::now();
    let mut missing = BTreeSet::new();
    wait_for(
        "every acknowledged message",
        Duration::from_secs(90),
        || {
            let here = server.messages("ann").join("\n");
            missing = acknowledged
                .iter()
                .filter(|name| !here.contains(name.as_str()))
                .cloned()
                .collect();
            if !missing.is_empty() && started.elapsed() > Duration::from_secs(3) {
                let service = server.root().join("service/qmail-send.25");
                run(server.tool("svc").arg("-a").arg(service), b"");
                std::thread::sleep(Duration::from_secs(1));
            }
            missing.is_empty()
        },
    );
}
