//! Attack 26: who runs as whom, what each can reach, and who is listened to,
//! on a running installation with its separate users.

mod escapes;
mod secrets;
mod set_uid;
mod trusted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Installation, run, wait_for};

/// A process of the installation.
struct Process {
    pid: u32,
    program: String,
    arguments: String,
}

/// What must hold for the processes of a program.
struct Promise {
    user: &'static str,
    group: &'static str,
    /// Whether it is in a sandbox of its own.
    confined: bool,
    /// Files it may hold open, below the root of the installation.
    files: &'static [&'static str],
}

const fn promise(
    user: &'static str,
    group: &'static str,
    confined: bool,
    files: &'static [&'static str],
) -> Promise {
    Promise {
        user,
        group,
        confined,
        files,
    }
}

/// The programs of a running installation. Those that stay root start others
/// as others and read nothing from outside; vdeliverd's companion runs
/// programs of users, set-uid ones included.
const PROGRAMS: &[(&str, Promise)] = &[
    ("imapd", promise("indimail", "indimail", true, &[])),
    ("inlookup", promise("indimail", "indimail", true, &["db/"])),
    ("multilog", promise("qmaill", "nofiles", true, &["log/"])),
    ("pop3d", promise("indimail", "indimail", true, &[])),
    (
        "qmail-clean",
        promise("qmailq", "qmail", true, &["queue/queue1"]),
    ),
    ("qmail-daemon", promise("root", "root", false, &[])),
    (
        "qmail-lspawn",
        promise("root", "qmail", false, &["queue/queue1"]),
    ),
    (
        "qmail-queued",
        // The queue's directory, to sync its file system.
        promise("qmailq", "qmail", true, &["queue/queue1"]),
    ),
    ("qmail-rspawn", promise("qmailr", "qmail", true, &[])),
    (
        "qmail-send",
        promise("qmails", "qmail", true, &["queue/queue1/"]),
    ),
    ("qmail-smtpd", promise("qmaild", "nofiles", true, &[])),
    (
        "qmail-todo",
        promise("qmails", "qmail", true, &["queue/queue1/"]),
    ),
    ("signer", promise("qcerts", "qcerts", true, &[])),
    ("supervise", promise("root", "root", false, &["service/"])),
    ("svscan", promise("root", "root", false, &["service"])),
    ("tracelog", promise("qmaill", "nofiles", true, &[])),
    (
        "vdeliverd",
        // The directory of all mail, to sync its file system.
        promise("indimail", "indimail", true, &["db/", "users/cdb", "mail"]),
    ),
    (
        "vdeliverd --companion",
        promise("indimail", "indimail", false, &[]),
    ),
    ("verifier", promise("qmailr", "qmail", true, &[])),
];

/// The processes whose program is the installation's own.
fn processes(root: &Path) -> Vec<Process> {
    let bin = root.join("bin");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(program) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        let Ok(name) = program.strip_prefix(&bin) else {
            continue;
        };
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        found.push(Process {
            pid,
            program: name.to_string_lossy().into_owned(),
            arguments: String::from_utf8_lossy(&arguments).replace('\0', " "),
        });
    }
    found
}

impl Process {
    fn promise(&self) -> &'static Promise {
        let name = match self.arguments.contains("--companion") {
            true => format!("{} --companion", self.program),
            false => self.program.clone(),
        };
        let found = PROGRAMS.iter().find(|(program, _)| *program == name);
        let Some((_, promise)) = found else {
            panic!("nothing is promised of {name}");
        };
        promise
    }

    /// The status of each of its threads.
    fn threads(&self) -> Vec<BTreeMap<String, String>> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid));
        let tasks = tasks.into_iter().flatten();
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .map(|status| {
                let lines = status.lines().filter_map(|line| line.split_once(':'));
                lines
                    .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                    .collect()
            })
            .collect()
    }

    /// Files it holds open; pipes and sockets are none.
    fn files(&self) -> Vec<PathBuf> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.pid));
        let links = links.into_iter().flatten();
        links
            .flatten()
            .filter_map(|link| fs::read_link(link.path()).ok())
            .filter(|path| path.is_absolute() && !path.starts_with("/dev"))
            // Where the test sends what the tree says.
            .filter(|path| !path.ends_with("quickstart.err"))
            .collect()
    }
}

fn number(database: &str, name: &str) -> String {
    let ran = run(
        std::process::Command::new("getent").args([database, name]),
        b"",
    )
    .good();
    ran.out.split(':').nth(2).unwrap().to_owned()
}

#[test]
fn attack_26_every_process_is_who_it_should_be_and_has_nothing_more() {
    let server = Installation::start("example.org");
    for (name, _) in PROGRAMS {
        let (program, _) = name.split_once(' ').unwrap_or((name, ""));
        wait_for(program, Duration::from_secs(90), || {
            let mut all = processes(&server.root()).into_iter();
            all.any(|process| process.program == program)
        });
    }
    // The last that came may still be on its way to its user.
    let start = std::time::Instant::now();
    loop {
        let wrong = wrong_processes(&server);
        if wrong.is_empty() {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{}",
            wrong.join("\n")
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What processes are, have or may do that they should not.
fn wrong_processes(server: &Installation) -> Vec<String> {
    let processes = processes(&server.root());
    let mut wrong = Vec::new();
    for process in processes.iter().filter(|p| p.program != "indimail") {
        let promise = process.promise();
        let (uid, gid) = (
            number("passwd", promise.user),
            number("group", promise.group),
        );
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{}({}): {what}", process.program, process.pid));
            }
        };
        for thread in process.threads() {
            let all_four = |name: &str, id: &str| {
                let found: Vec<_> = thread[name].split_ascii_whitespace().collect();
                found == [id; 4]
            };
            check(all_four("Uid", &uid), format!("uid {}", thread["Uid"]));
            if promise.group != "root" {
                check(all_four("Gid", &gid), format!("gid {}", thread["Gid"]));
                let groups = &thread["Groups"];
                check(
                    groups.is_empty() || *groups == gid,
                    format!("groups {groups}"),
                );
            }
            if promise.user != "root" {
                for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                    let none = thread[set].chars().all(|digit| digit == '0');
                    check(none, format!("{set} {}", thread[set]));
                }
            }
            if promise.confined {
                check(thread["NoNewPrivs"] == "1", "may gain rights".to_owned());
                check(thread["Seccomp"] == "2", "no filter of calls".to_owned());
            }
        }
        for file in process.files() {
            let below = file.strip_prefix(server.root());
            let allowed = below.is_ok_and(|path| {
                let path = path.to_string_lossy();
                promise.files.iter().any(|start| path.starts_with(start))
            });
            check(allowed, format!("has {} open", file.display()));
        }
    }
    wrong
}
