//! Descriptors and memory run out, in one program after the other, under
//! load: mail waits, or is refused for now; nothing is lost and nothing
//! bounces that would not have.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Installation, Sink, run};

use crate::killed::{KINDS, copies, installation, processes, send};

const STARVED: Duration = Duration::from_millis(2500);
const SETTLED_MAX: Duration = Duration::from_secs(120);
const VICTIMS: [&str; 9] = [
    "qmail-smtpd",
    "qmail-queued",
    "qmail-todo",
    "qmail-send",
    "qmail-clean",
    "qmail-lspawn",
    "qmail-rspawn",
    "vdeliverd",
    "inlookup",
];

#[derive(Clone, Copy, Debug)]
enum Want {
    /// EMFILE: no descriptor above those that are open, or just two.
    Descriptors(u64),
    /// ENOMEM: no address space beyond what is used, or just this much.
    Memory(u64),
}

impl Want {
    /// What prlimit is to say about a process; `None` when it is gone.
    fn limit(self, pid: i32) -> Option<String> {
        let proc = format!("/proc/{pid}");
        Some(match self {
            Self::Descriptors(more) => {
                let open = fs::read_dir(proc + "/fd").ok()?.count() as u64;
                format!("--nofile={}:", open + more)
            }
            Self::Memory(more) => {
                let status = fs::read_to_string(proc + "/status").ok()?;
                let line = status.lines().find(|line| line.starts_with("VmSize"))?;
                let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
                format!("--as={}:", kilobytes * 1024 + more)
            }
        })
    }

    fn no_limit(self) -> &'static str {
        match self {
            Self::Descriptors(_) => "--nofile=1024:",
            Self::Memory(_) => "--as=unlimited:",
        }
    }
}

/// Sets a limit of all processes of a name.
fn set(server: &Installation, name: &str, limit: impl Fn(i32) -> Option<String>) {
    for pid in processes(server).remove(name).unwrap_or_default() {
        if let Some(limit) = limit(pid) {
            let mut prlimit = Command::new("prlimit");
            run(prlimit.args(["--pid", &pid.to_string(), &limit]), b"");
        }
    }
}

#[test]
fn nothing_is_lost_when_descriptors_or_memory_run_out() {
    let sink = Sink::start();
    let server = installation(&sink);
    let port = server.port(25);
    let mut owed = BTreeSet::new();
    for want in [
        Want::Descriptors(0),
        Want::Descriptors(2),
        Want::Memory(0),
        Want::Memory(512 * 1024),
    ] {
        for victim in VICTIMS {
            set(&server, victim, |pid| want.limit(pid));
            let sender = std::thread::spawn(move || {
                let mut sent = Vec::new();
                for (n, (recipients, places)) in KINDS.iter().enumerate() {
                    let name = format!("m-{victim}-{want:?}-{n}");
                    if send(port, &name, recipients) {
                        sent.extend(places.iter().map(|place| (name.clone(), *place)));
                    }
                }
                sent
            });
            std::thread::sleep(STARVED);
            set(&server, victim, |_| Some(want.no_limit().to_owned()));
            owed.extend(sender.join().expect("a sender"));
        }
    }
    println!("{} copies owed", owed.len());
    assert!(VICTIMS.len() < owed.len(), "only {} are owed", owed.len());
    // What died young is not started for a while; all the rest is as it was.
    server.svc("-t", "qmail-send.25");
    let deadline = Instant::now() + SETTLED_MAX;
    while !owed.is_empty() {
        assert!(Instant::now() < deadline, "not delivered: {owed:?}");
        std::thread::sleep(Duration::from_secs(2));
        server.svc("-a", "qmail-send.25");
        let here = copies(&server, &sink);
        owed.retain(|copy| !here.contains_key(copy));
    }
    // Only what the recipient's own program refused bounced.
    let log = server.log("deliver.25");
    let mut failures = log.lines().filter(|line| line.contains(": failure: "));
    assert!(failures.all(|line| line.contains("not_here")), "{log}");
    for entry in fs::read_dir(server.root().join("log")).unwrap().flatten() {
        let log = server.log(&entry.file_name().to_string_lossy());
        assert!(!log.contains("panicked"), "{:?}: {log}", entry.file_name());
    }
}
