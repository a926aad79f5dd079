//! The queues, and the disks that mail is on.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use run::Home;

use super::Findings;
use crate::install::accounts;
use crate::site::Mode;

/// Free space below which accepting mail is at risk, in bytes.
const DISK_BYTES_MIN: u64 = 100 * 1024 * 1024;
/// Free inodes below which accepting mail is at risk.
const DISK_INODES_MIN: u64 = 10_000;
/// Who owns what in a queue.
const OWNERS: [(&str, &str); 4] = [
    ("mess", "qmailq"),
    ("todo", "qmailq"),
    ("info", "qmails"),
    ("lock/trigger", "qmails"),
];

/// Checks them all.
pub fn check(home: &Home, mode: Mode, findings: &mut Findings) {
    let parent = home.queues();
    let mut found = false;
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.join("mess").is_dir() || path.join("lock").is_dir() {
            found = true;
            queue(&path, mode, findings);
        }
    }
    if !found {
        findings.add(
            parent.display(),
            "holds no queue, or cannot be read by this user",
            "run this command as root; if the queue is gone, restore it, or make an empty one \
             with indimail quickstart",
        );
    } else if let Some(gap) = configured(home).into_iter().find(|path| !path.is_dir()) {
        findings.add(
            gap.display(),
            "is a configured queue and does not exist",
            "correct control/queue_count, or run indimail quickstart again",
        );
    }
    disks(home, findings);
}

fn configured(home: &Home) -> Vec<std::path::PathBuf> {
    let settings = run::Settings::of_files(home);
    match queue::Queues::configured(home, &settings) {
        Ok(queues) => queues.directories().to_vec(),
        Err(_) => Vec::new(),
    }
}

fn queue(path: &Path, mode: Mode, findings: &mut Findings) {
    if let Err(error) = queue::Layout::detect(path) {
        findings.add(
            path.display(),
            error,
            "svc -d qmail-send.25 and qmail-queued, make the missing directories as those beside \
             them, svc -u both",
        );
    }
    let trigger = path.join("lock/trigger");
    match fs::metadata(&trigger) {
        Ok(metadata) if metadata.file_type().is_fifo() => {}
        _ => findings.add(
            trigger.display(),
            "is missing or no FIFO: new mail waits for up to 25 minutes",
            format!(
                "mkfifo -m 622 {0}; chown qmails:qmail {0}",
                trigger.display()
            ),
        ),
    }
    for (name, user) in OWNERS {
        let path = path.join(name);
        let (Mode::Separated, Ok(metadata), Ok(owner)) = (
            mode,
            fs::metadata(&path),
            accounts::identity(mode, user, "qmail"),
        ) else {
            continue;
        };
        if metadata.uid() != owner.uid {
            findings.add(
                path.display(),
                format!("belongs to uid {}, not {user}", metadata.uid()),
                format!("chown {user}:qmail {}", path.display()),
            );
        }
    }
}

/// Queue, mail, logs and users may be on disks of their own.
fn disks(home: &Home, findings: &mut Findings) {
    let database = home.root().join("db");
    let places = [
        home.root().to_owned(),
        home.queues(),
        home.mail(),
        home.log(),
        database,
    ];
    let mut seen = Vec::new();
    for place in places {
        let Ok(metadata) = fs::metadata(&place) else {
            continue;
        };
        if !seen.contains(&metadata.dev()) {
            seen.push(metadata.dev());
            disk(&place, findings);
        }
    }
}

fn disk(place: &Path, findings: &mut Findings) {
    let shown = place.display();
    let free = match os::file::free_space(place) {
        Ok(free) => free,
        Err(error) => return findings.add(shown, error, "check the disk"),
    };
    if free.read_only {
        findings.add(
            &shown,
            "is on a file system that is mounted read-only",
            "read the kernel's messages (dmesg): the disk may be broken; then mount it anew with \
             -o remount,rw",
        );
    }
    if free.bytes < DISK_BYTES_MIN {
        let megabytes = free.bytes / 1024 / 1024;
        findings.add(
            &shown,
            format!("has only {megabytes} MiB free"),
            "remove or move something on that file system; what waits goes on by itself",
        );
    }
    if free.inodes < DISK_INODES_MIN {
        findings.add(
            &shown,
            format!("has only {} inodes free", free.inodes),
            "remove small files on that file system; what waits goes on by itself",
        );
    }
}
