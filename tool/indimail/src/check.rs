//! `indimail check`: what is wrong with an installation, and how to mend it.
//!
//! Reads only. Each finding names the subject, what is wrong and the command
//! or edit that mends it. Exit code 0 when nothing is wrong, else 1.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use run::{Home, Settings};
use serde::Serialize;

use crate::install::accounts;
use crate::install::programs::{FAMILIES, PROGRAMS};
use crate::install::tree::DIRECTORIES;
use crate::services::SERVICES;
use crate::site::Mode;
use crate::{Outcome, Root, quickstart, site, status};

/// Free space below which accepting mail is at risk, in bytes.
const DISK_BYTES_MIN: u64 = 100 * 1024 * 1024;
/// Free inodes below which accepting mail is at risk.
const DISK_INODES_MIN: u64 = 10_000;
/// A certificate is a problem this long before it expires.
const CERTIFICATE_SECONDS_MIN: i64 = 14 * 86_400;
/// No clock of a running installation stands before this: 2025-01-01.
const CLOCK_MIN: i64 = 1_735_689_600;

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Finding {
    /// File, service or thing it is about.
    subject: String,
    /// What is wrong.
    problem: String,
    /// What mends it.
    mend: String,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, subject: impl ToString, problem: impl ToString, mend: impl ToString) {
        self.findings.push(Finding {
            subject: subject.to_string(),
            problem: problem.to_string(),
            mend: mend.to_string(),
        });
    }
}

/// Runs the command.
pub fn run(arguments: &Root) -> Outcome {
    let home = site::home(arguments.root.as_deref())?;
    let mut findings = Findings::default();
    if quickstart::is_installation(home.root()) {
        installation(&home, &mut findings);
    } else {
        let root = home.root().display();
        findings.add(
            root,
            "is no installation",
            "run indimail quickstart DOMAIN --root DIR",
        );
    }
    let Findings { findings } = findings;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else if findings.is_empty() {
        println!("nothing is wrong with {}", home.root().display());
    } else {
        for Finding {
            subject,
            problem,
            mend,
        } in &findings
        {
            println!("{subject}: {problem}\n    mend: {mend}");
        }
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn installation(home: &Home, findings: &mut Findings) {
    let mode = mode_of(home.root());
    directories(home, mode, findings);
    programs(home, mode, findings);
    controls(home, findings);
    queues(home, findings);
    certificates(home, findings);
    disk(home.root(), findings);
    clock(findings);
    services(home, findings);
}

/// How the installation was made: by root with separate users, or by one
/// user. The owner of the database directory tells.
fn mode_of(root: &Path) -> Mode {
    match (fs::metadata(root), fs::metadata(root.join("db"))) {
        (Ok(root), Ok(db)) if root.uid() != db.uid() => Mode::Separated,
        _ => Mode::SingleUser,
    }
}

fn directories(home: &Home, mode: Mode, findings: &mut Findings) {
    let owner_of_all = fs::metadata(home.root())
        .map(|root| root.uid())
        .unwrap_or(0);
    for entry in DIRECTORIES {
        let path = home.root().join(entry.path);
        let Ok(found) = fs::metadata(&path) else {
            findings.add(
                path.display(),
                "is missing or cannot be read",
                "run indimail quickstart again",
            );
            continue;
        };
        let shown = path.display();
        if found.mode() & 0o7777 != entry.mode {
            let (is, should) = (found.mode() & 0o7777, entry.mode);
            findings.add(
                shown,
                format!("has mode {is:04o}, not {should:04o}"),
                format!("chmod {should:o} {}", path.display()),
            );
        }
        let expected = match mode {
            Mode::SingleUser => Ok(owner_of_all),
            Mode::Separated => accounts::identity(mode, entry.user, entry.group).map(|i| i.uid),
        };
        match expected {
            Ok(uid) if uid != found.uid() => {
                let (user, path) = (entry.user, path.display());
                findings.add(
                    &path,
                    format!("belongs to uid {}, not {user}", found.uid()),
                    format!("chown {user} {path}"),
                );
            }
            Ok(_) => {}
            Err(error) => findings.add(entry.user, error, "run indimail quickstart as root again"),
        }
    }
}

fn programs(home: &Home, mode: Mode, findings: &mut Findings) {
    let families = FAMILIES
        .iter()
        .flat_map(|(family, names)| std::iter::once(family).chain(*names));
    for name in PROGRAMS.iter().chain(families) {
        let path = home.bin().join(name);
        match fs::metadata(&path) {
            Ok(found) if found.mode() & 0o111 != 0 => {}
            Ok(_) => findings.add(
                path.display(),
                "cannot be executed",
                format!("chmod 755 {}", path.display()),
            ),
            Err(error) => findings.add(path.display(), error, "run indimail quickstart again"),
        }
    }
    let queue = home.bin().join("qmail-queue");
    if mode == Mode::Separated && fs::metadata(&queue).is_ok_and(|found| found.mode() & 0o4000 == 0)
    {
        let queue = queue.display();
        findings.add(
            &queue,
            "is not set-uid: users cannot send mail",
            format!("chmod 4711 {queue}"),
        );
    }
}

fn controls(home: &Home, findings: &mut Findings) {
    let settings = Settings::of_files(home);
    let mut files: Vec<&str> = settings::all()
        .map(|setting| setting.file)
        .filter(|file| !file.is_empty())
        .collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        if let Err(error) = settings.file(file) {
            findings.add(
                file,
                format!("{error}: {}", error.source),
                "make it a readable file, or remove it",
            );
        }
    }
    for (file, problem) in [
        ("me", "is missing: no program knows the name of this host"),
        (
            "rcpthosts",
            "is missing: qmail-smtpd refuses to start, it would relay for everybody",
        ),
    ] {
        if matches!(settings.file(file), Ok(None)) {
            findings.add(
                home.control().join(file).display(),
                problem,
                "run indimail quickstart again",
            );
        }
    }
    if home.database().exists()
        && let Err(error) = directory::Directory::open_read_only(&home.database())
    {
        findings.add(
            home.database().display(),
            error,
            "restore it from a backup; mail is not affected",
        );
    }
}

fn queues(home: &Home, findings: &mut Findings) {
    let parent = home.queues();
    let mut found = false;
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        if entry.path().join("mess").is_dir() {
            found = true;
            if let Err(error) = queue::Layout::detect(entry.path()) {
                findings.add(
                    entry.path().display(),
                    error,
                    "stop qmail-send and repair the queue",
                );
            }
            let trigger = entry.path().join("lock/trigger");
            if !trigger.exists() {
                findings.add(
                    trigger.display(),
                    "is missing: new mail waits for up to 25 minutes",
                    format!("mkfifo -m 622 {}", trigger.display()),
                );
            }
        }
    }
    if !found {
        findings.add(
            parent.display(),
            "holds no queue, or cannot be read by this user",
            "run this command as root, or quickstart again",
        );
    }
}

fn certificates(home: &Home, findings: &mut Findings) {
    let path = home.certs().join("servercert.pem");
    let shown = path.display();
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            return findings.add(
                shown,
                error,
                "run indimail quickstart again; only its owner and root may read it",
            );
        }
    };
    match tls::expiry(&pem) {
        Err(error) => findings.add(shown, error, "put certificate chain and key into it, PEM"),
        Ok(expires) if expires < os::clock::unix_seconds() + CERTIFICATE_SECONDS_MIN => {
            let date = tai::header_date(expires);
            findings.add(
                shown,
                format!("expires on {date}"),
                "renew the certificate, then svc -t the signer",
            );
        }
        Ok(_) => {}
    }
    if fs::metadata(&path).is_ok_and(|found| found.mode() & 0o077 != 0) {
        findings.add(
            path.display(),
            "can be read by others than its owner",
            format!("chmod 600 {}", path.display()),
        );
    }
}

fn disk(root: &Path, findings: &mut Findings) {
    match os::file::free_space(root) {
        Ok(free) if free.bytes < DISK_BYTES_MIN => {
            let megabytes = free.bytes / 1024 / 1024;
            findings.add(
                root.display(),
                format!("only {megabytes} MiB are free"),
                "remove or move something",
            );
        }
        Ok(free) if free.inodes < DISK_INODES_MIN => {
            findings.add(
                root.display(),
                format!("only {} inodes are free", free.inodes),
                "remove small files",
            );
        }
        Ok(_) => {}
        Err(error) => findings.add(root.display(), error, "check the disk"),
    }
}

fn clock(findings: &mut Findings) {
    let now = os::clock::unix_seconds();
    if now < CLOCK_MIN {
        findings.add(
            "clock",
            format!("says {}", tai::header_date(now)),
            "set it; retries and certificates depend on it",
        );
    }
}

/// Down services, and ports that others hold while nothing of ours runs.
fn services(home: &Home, findings: &mut Findings) {
    let Ok(found) = status::services(&home.service()) else {
        return;
    };
    let running = found.iter().any(|service| !service.unsupervised);
    for service in SERVICES {
        let directory = home.service().join(service.name);
        if !directory.join("run").exists() {
            findings.add(
                directory.display(),
                "is missing",
                "run indimail quickstart again",
            );
            continue;
        }
        let up = found
            .iter()
            .any(|found| found.name == service.name && found.up);
        if running && !up && !directory.join("down").exists() {
            let log = home.log().join(service.log).join("current");
            findings.add(
                service.name,
                "is down",
                format!("read the end of {}", log.display()),
            );
        }
        if !running {
            let port = fs::read_to_string(directory.join("variables/PORT")).unwrap_or_default();
            if let Ok(port) = port.trim().parse::<u16>()
                && let Err(error) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            {
                findings.add(
                    format!("port {port}"),
                    format!("{} cannot have it: {error}", service.name),
                    "stop the other program, or choose --port-base",
                );
            }
        }
    }
}
