//! kill -9 of any process at any moment, under load: nothing that was
//! answered 250 is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Builder, Installation, Sink, run};

use crate::talk::Talk;

const SENDERS: usize = 4;
const KILLS: usize = 300;
const PAUSE_MAX_MILLISECONDS: u64 = 200;
/// How often, in a hundred, it is the parent of the queue's processes: it
/// starts those that die young later and later, and forgets that itself.
const PARENT_PERCENT: u64 = 12;
/// Above all others: with them the whole installation ends.
const SPARED: [&str; 2] = ["indimail", "svscan"];
const SETTLED_MAX: Duration = Duration::from_secs(300);

/// Where a message must be found in the end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    Ann,
    Bob,
    Sink,
    /// The sender is told that it failed.
    Notice,
}

/// What kinds of recipients a message has, and where it must arrive.
pub const KINDS: [(&[&str], &[Place]); 6] = [
    (&["ann@example.org"], &[Place::Ann]),
    (&["carol@sink.example"], &[Place::Sink]),
    // An alias that forwards to both.
    (&["fan@mx.example.org"], &[Place::Ann, Place::Sink]),
    (
        &["bob@example.org", "dave@sink.example", "ann@example.org"],
        &[Place::Ann, Place::Bob, Place::Sink],
    ),
    // A program says no; the other recipient gets it.
    (
        &["no@mx.example.org", "bob@example.org"],
        &[Place::Bob, Place::Notice],
    ),
    // A program forwards it.
    (&["program@mx.example.org"], &[Place::Bob]),
];

/// Who sends, and gets the notices.
const SENDER: &str = "ann@example.org";

/// Sends one message; true when it was answered 250.
pub fn send(port: u16, name: &str, recipients: &[&str]) -> bool {
    let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    drop(stream);
    let attempt = std::panic::catch_unwind(|| {
        let mut talk = Talk::to(port);
        let mut is_taken = talk.say("EHLO killer.example").starts_with("250")
            && talk
                .say(&format!("MAIL FROM:<{SENDER}>"))
                .starts_with("250");
        for recipient in recipients {
            is_taken = is_taken
                && talk
                    .say(&format!("RCPT TO:<{recipient}>"))
                    .starts_with("250");
        }
        is_taken
            && talk.say("DATA").starts_with("354")
            && talk
                .say(&format!("Subject: {name}\r\n\r\nhello\r\n."))
                .starts_with("250")
    });
    attempt.unwrap_or(false)
}

/// The processes of one installation that may be killed, by name.
pub fn processes(server: &Installation) -> BTreeMap<String, Vec<i32>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let name = name.trim().to_owned();
        if exe.starts_with(server.root()) && !SPARED.contains(&name.as_str()) {
            found.entry(name).or_default().push(pid);
        }
    }
    found
}

/// Kills one process; its name.
fn kill_one(server: &Installation, random: &mut impl FnMut(u64) -> u64) -> Option<String> {
    let running = processes(server);
    let name = match random(100) < PARENT_PERCENT {
        true => "qmail-daemon",
        false => running.keys().nth(random(running.len() as u64) as usize)?,
    };
    let pids = running.get(name)?;
    let pid = pids[random(pids.len() as u64) as usize];
    kill(Pid::from_raw(pid), Signal::SIGKILL).ok()?;
    Some(name.to_owned())
}

pub fn installation(sink: &Sink) -> Installation {
    let setup = Builder::new("example.org");
    setup.add_user("ann").add_user("bob");
    let hosts = setup.root().join("control/rcpthosts");
    let hosts = fs::read_to_string(hosts).unwrap() + "sink.example\n";
    setup.control("rcpthosts", &hosts);
    let route = format!("sink.example:127.0.0.1:{}\n", sink.port);
    setup.control("smtproutes", &route);
    let fan = setup.root().join("alias/.qmail-fan");
    fs::write(&fan, "&ann@example.org\n&erin@sink.example\n").unwrap();
    fs::set_permissions(&fan, PermissionsExt::from_mode(0o644)).unwrap();
    for (name, text) in [
        ("no", "|echo not here; exit 100\n".to_owned()),
        (
            "program",
            format!("|{}/bin/forward bob@example.org\n", setup.root().display()),
        ),
    ] {
        let path = setup.root().join(format!("alias/.qmail-{name}"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    setup.start()
}

/// How often each name is found where.
pub fn copies(server: &Installation, sink: &Sink) -> BTreeMap<(String, Place), usize> {
    let mut copies = BTreeMap::new();
    for (place, messages) in [
        (Place::Ann, server.messages("ann")),
        (Place::Bob, server.messages("bob")),
        (Place::Sink, sink.messages()),
    ] {
        for message in messages {
            let mut subjects = message.lines().filter_map(|l| l.strip_prefix("Subject: "));
            let name = subjects.next().unwrap_or_default().trim();
            // A notice quotes the message.
            let (name, place) = match name.starts_with('m') {
                true => (name, place),
                false => (
                    subjects.next_back().unwrap_or_default().trim(),
                    Place::Notice,
                ),
            };
            *copies.entry((name.to_owned(), place)).or_default() += 1;
        }
    }
    copies
}

/// The names of the messages in the queue: their texts, and those that bounces
/// and forwards quote.
fn queued(server: &Installation) -> BTreeSet<String> {
    let mess = server.root().join("queue/queue1/mess");
    let mut names = BTreeSet::new();
    for directory in fs::read_dir(mess).unwrap().flatten() {
        for file in fs::read_dir(directory.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read(file.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let subjects = text
                .lines()
                .filter_map(|line| line.strip_prefix("Subject: "));
            names.extend(subjects.map(|name| name.trim().to_owned()));
        }
    }
    names
}

#[test]
fn nothing_acknowledged_is_lost_however_often_processes_die() {
    let sink = Sink::start();
    let server = installation(&sink);
    let acknowledged = Mutex::new(BTreeSet::new());
    let stop = AtomicBool::new(false);
    let mut killed: BTreeMap<String, usize> = BTreeMap::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below.max(1)
    };
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (acknowledged, stop, port) = (&acknowledged, &stop, server.port(25));
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("m{sender}-{n}-");
                    let (recipients, places) = KINDS[n % KINDS.len()];
                    if send(port, &name, recipients) {
                        let expected = places.iter().map(|place| (name.clone(), *place));
                        acknowledged.lock().unwrap().extend(expected);
                    } else {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
        while killed.values().sum::<usize>() < KILLS {
            std::thread::sleep(Duration::from_millis(random(PAUSE_MAX_MILLISECONDS)));
            if let Some(name) = kill_one(&server, &mut random) {
                *killed.entry(name).or_default() += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        KILLS < acknowledged.len(),
        "only {} copies are owed",
        acknowledged.len()
    );
    // The queue starts at once, not when its patience is over; what was
    // deferred is tried now.
    server.svc("-t", "qmail-send.25");
    let names = |copies: &BTreeSet<(String, Place)>| -> BTreeSet<String> {
        copies.iter().map(|(name, _)| name.clone()).collect()
    };
    let missing = || -> BTreeSet<(String, Place)> {
        let here = copies(&server, &sink);
        let owed = acknowledged.iter().filter(|c| !here.contains_key(*c));
        owed.cloned().collect()
    };
    // What is in no queue and nowhere else, twice in a row, is lost; what is
    // queued is only late.
    let deadline = Instant::now() + SETTLED_MAX;
    let mut lost_before = BTreeSet::new();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let queued = queued(&server);
        let missing = missing();
        if missing.is_empty() {
            break;
        }
        let lost: BTreeSet<String> = names(&missing).difference(&queued).cloned().collect();
        let lost_twice: Vec<_> = lost.intersection(&lost_before).collect();
        assert!(lost_twice.is_empty(), "LOST, in no queue: {lost_twice:?}");
        assert!(
            Instant::now() < deadline,
            "still queued, none lost, after {SETTLED_MAX:?}: {missing:?}"
        );
        lost_before = lost;
        let service = server.root().join("service/qmail-send.25");
        run(server.tool("svc").arg("-a").arg(service), b"");
    }
    // The books know it, too: whoever was told 250 was told the truth.
    let books = server.indimail(&["ledger"]);
    assert!(!books.out.contains("LOST"), "{}", books.out);
    let here = copies(&server, &sink);
    let twice: usize = acknowledged.iter().map(|copy| here[copy] - 1).sum();
    println!(
        "{KILLS} kills ({killed:?}); {} copies owed and found, {twice} duplicates",
        acknowledged.len()
    );
    assert!(twice < acknowledged.len(), "{twice} duplicates");
}
