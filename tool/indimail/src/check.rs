//! `indimail check`: what is wrong with an installation, and how to mend it.
//!
//! Reads only. Each finding names the subject, what is wrong and the command
//! or edit that mends it. Exit code 0 when nothing is wrong, else 1.

mod files;
mod queues;
mod services;
mod tables;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use run::Home;
use serde::Serialize;

use crate::install::accounts;
use crate::install::programs::{FAMILIES, PROGRAMS};
use crate::install::tree::DIRECTORIES;
use crate::site::Mode;
use crate::{Outcome, Root, quickstart, site};

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
    files::check(home, mode, findings);
    tables::check(home, findings);
    queues::check(home, mode, findings);
    clock(findings);
    services::check(home, findings);
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
