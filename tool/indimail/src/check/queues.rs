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
    spare(path, mode, findings);
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

/// What is in `spare` becomes messages: qmail-queued must own it, and nobody
/// may have put anything there.
fn spare(queue: &Path, mode: Mode, findings: &mut Findings) {
    let path = queue.join("spare");
    let Ok(found) = fs::symlink_metadata(&path) else {
        return;
    };
    let mend = || {
        let queue = queue.display();
        format!("svc -d qmail-send.25 and qmail-queued, queue-fix {queue}, svc -u both")
    };
    if !found.is_dir() {
        return findings.add(
            path.display(),
            "is no directory",
            format!("remove {0}", path.display()),
        );
    }
    if found.mode() & 0o7777 != 0o700 {
        let text = format!("has mode {:04o}, not 0700", found.mode() & 0o7777);
        findings.add(path.display(), text, mend());
    }
    let owner = accounts::identity(mode, "qmailq", "qmail").map(|owner| owner.uid);
    let owner = owner.unwrap_or(found.uid());
    if found.uid() != owner {
        let text = format!("belongs to uid {}, not qmailq", found.uid());
        findings.add(path.display(), text, mend());
    }
    let entries = fs::read_dir(&path).into_iter().flatten().flatten();
    let foreign = entries.filter(|entry| {
        // One that went away meanwhile has become a message.
        let found = fs::symlink_metadata(entry.path());
        found.is_ok_and(|found| {
            let is_named = entry.file_name() == found.ino().to_string().as_str();
            !(found.is_file() && found.nlink() == 1 && is_named && found.uid() == owner)
        })
    });
    let mut foreign: Vec<_> = foreign.map(|entry| entry.file_name()).collect();
    foreign.sort();
    if let Some(first) = foreign.first() {
        let (count, first) = (foreign.len(), path.join(first));
        let text = format!("is not qmail-queued's ({count} such); it could become a message");
        findings.add(first.display(), text, mend());
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_foreign_in_spare_is_found_and_what_is_not_is_not() {
        let queue = tempfile::tempdir().unwrap();
        let spare_files = queue.path().join("spare");
        let findings = || {
            let mut findings = Findings::default();
            spare(queue.path(), Mode::SingleUser, &mut findings);
            findings.findings.len()
        };
        assert_eq!(findings(), 0, "there need not be one");
        fs::create_dir(&spare_files).unwrap();
        let mode = |mode| fs::set_permissions(&spare_files, fs::Permissions::from_mode(mode));
        mode(0o700).unwrap();
        let new = spare_files.join("new");
        fs::write(&new, "x").unwrap();
        assert_eq!(findings(), 1);
        let number = new.metadata().unwrap().ino().to_string();
        fs::rename(&new, spare_files.join(&number)).unwrap();
        assert_eq!(findings(), 0);
        mode(0o755).unwrap();
        assert_eq!(findings(), 1);
        mode(0o700).unwrap();
        fs::hard_link(spare_files.join(&number), queue.path().join("other")).unwrap();
        assert_eq!(findings(), 1);
    }
}
