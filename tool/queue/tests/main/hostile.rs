//! A queue whose users have put links to other files into it: root's tools
//! neither follow nor change them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use os::account::{Account, is_root};

/// The message in the queue.
const ID: u64 = 24;

/// A queue, and beside it what is none of its business.
struct Lair {
    all: tempfile::TempDir,
    root: PathBuf,
    victim: PathBuf,
}

impl Lair {
    fn new() -> Self {
        let all = tempfile::tempdir().unwrap();
        let root = all.path().join("queue/queue1");
        queue::create(&root, None).unwrap();
        let layout = queue::Layout::detect(&root).unwrap();
        std::fs::write(layout.mess(ID), "Subject: text\n\n").unwrap();
        std::fs::write(layout.info(ID), "Fx\0").unwrap();
        std::fs::create_dir(root.join("spare")).unwrap();
        let victim = all.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        for name in ["file", "24", "tcpto", "sendmutex"] {
            let path = victim.join(name);
            // The length of a table of hosts: only its content tells.
            std::fs::write(&path, [7; 2048]).unwrap();
            set_mode(&path, 0o604);
        }
        set_mode(&victim, 0o711);
        Self { all, root, victim }
    }

    /// Everything about the victim, and that nothing was added to it.
    fn facts(&self) -> Vec<(PathBuf, u32, u32, i64, Vec<u8>)> {
        let mut paths = vec![self.victim.clone()];
        let entries = std::fs::read_dir(&self.victim).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()));
        paths.sort();
        let facts = paths.into_iter().map(|path| {
            let found = path.symlink_metadata().unwrap();
            let content = std::fs::read(&path).unwrap_or_default();
            (path, found.uid(), found.mode(), found.mtime(), content)
        });
        facts.collect()
    }

    /// Puts something in the place of a part of the queue.
    fn plant(&self, part: &str, kind: Plant) {
        let path = self.root.join(part);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = std::fs::remove_file(&path);
        }
        match kind {
            Plant::Link => symlink(self.victim.join("file"), path).unwrap(),
            Plant::LinkToNothing => symlink(self.victim.join("new"), path).unwrap(),
            Plant::SecondName => std::fs::hard_link(self.victim.join("file"), path).unwrap(),
            Plant::LinkToDirectory => symlink(&self.victim, path).unwrap(),
        }
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_queue-tools"))
            .arg(tool)
            .args(arguments)
            .env("QMAILDIR", self.all.path())
            .env("QUEUEDIR", &self.root)
            .output()
            .unwrap();
        assert!(output.status.code().is_some(), "{tool}: {output:?}");
        output
    }
}

#[derive(Clone, Copy, Debug)]
enum Plant {
    Link,
    LinkToNothing,
    SecondName,
    LinkToDirectory,
}

const FILES: [Plant; 3] = [Plant::Link, Plant::LinkToNothing, Plant::SecondName];

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Owners can only be mended where they exist.
fn owners() -> &'static [&'static str] {
    match is_root() && Account::by_name("qmailr").is_ok() {
        true => &["", "-m"],
        false => &["-m"],
    }
}

#[test]
fn queue_fix_changes_nothing_outside_the_queue() {
    let mut plants: Vec<(&str, Plant)> = Vec::new();
    for part in [
        "lock/tcpto",
        "lock/sendmutex",
        "lock/trigger",
        "mess/1/24",
        "info/1/24",
        "todo/24",
        "bounce/24",
        "hold/24",
        "spare/24",
        "mess/1/25.tmp",
    ] {
        plants.extend(FILES.map(|kind| (part, kind)));
    }
    for part in [
        "lock", "mess", "mess/1", "info/1", "hold", "pid", "todo", "spare", "trash", "bounce",
    ] {
        plants.push((part, Plant::LinkToDirectory));
    }
    for (part, kind) in plants {
        for owners in owners() {
            let lair = Lair::new();
            lair.plant(part, kind);
            let before = lair.facts();
            let root = lair.root.to_str().unwrap();
            let arguments = [root, "-t", *owners];
            let arguments = if owners.is_empty() {
                &arguments[..2]
            } else {
                &arguments[..]
            };
            // Options come first.
            let arguments: Vec<&str> = arguments[1..].iter().chain([&root]).copied().collect();
            for _ in 0..2 {
                let output = lair.run("queue-fix", &arguments);
                assert_eq!(lair.facts(), before, "{part} {kind:?}: {output:?}");
            }
        }
    }
}

#[test]
fn queue_fix_mends_a_queue_of_root_inside_its_sandbox() {
    let lair = Lair::new();
    let layout = queue::Layout::detect(&lair.root).unwrap();
    let inode = layout.mess(ID).metadata().unwrap().ino();
    std::fs::remove_dir(lair.root.join("intd")).unwrap();
    std::fs::write(layout.lock("tcpto"), "short").unwrap();
    std::fs::write(lair.root.join("spare/1"), "foreign").unwrap();
    set_mode(&lair.root.join("spare"), 0o777);
    let root = lair.root.to_str().unwrap();
    let said = lair.run("queue-fix", &["-mv", root]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(layout.mess(inode).metadata().unwrap().ino(), inode);
    assert!(layout.info(inode).exists() && lair.root.join("intd").is_dir());
    assert_eq!(layout.lock("tcpto").metadata().unwrap().len(), 2048);
    let spare = lair.root.join("spare");
    assert_eq!(spare.metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(std::fs::read_dir(&spare).unwrap().count(), 0);
    let again = lair.run("queue-fix", &["-m", root]);
    assert_eq!((again.status.code(), again.stdout), (Some(0), Vec::new()));
}

#[test]
fn a_file_between_two_names_is_mended_all_the_same() {
    let lair = Lair::new();
    let layout = queue::Layout::detect(&lair.root).unwrap();
    let root = lair.root.to_str().unwrap();
    assert!(lair.run("queue-fix", &["-m", root]).status.success());
    let id: u64 = std::fs::read_dir(lair.root.join("info"))
        .unwrap()
        .flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap())
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .next()
        .unwrap();
    std::fs::write(layout.intd(id), "u0\0p1\0Fa\0Tb@c\0").unwrap();
    std::fs::hard_link(layout.intd(id), layout.todo(id)).unwrap();
    set_mode(&layout.todo(id), 0o600);
    let said = lair.run("queue-fix", &["-m", root]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(layout.todo(id).metadata().unwrap().mode() & 0o777, 0o644);
}

#[test]
fn qmail_rm_changes_nothing_outside_the_queue() {
    let actions: [&[&str]; 4] = [
        &["-r"],
        &["-d", "--all"],
        &["-X", "0"],
        &["-x", "Tue Sep 26 04:46:53 GMT 1995"],
    ];
    for action in actions {
        for part in [
            "info/1", "mess/1", "bounce", "todo", "trash", "lock", "local/1",
        ] {
            let lair = Lair::new();
            lair.plant(part, Plant::LinkToDirectory);
            let before = lair.facts();
            let output = lair.run("qmail-rm", action);
            assert_eq!(lair.facts(), before, "{part} {action:?}: {output:?}");
        }
        for part in ["info/1/24", "mess/1/24", "todo/24", "lock/sendmutex"] {
            for kind in FILES {
                let lair = Lair::new();
                lair.plant(part, kind);
                let before = lair.facts();
                let output = lair.run("qmail-rm", action);
                assert_eq!(
                    lair.facts(),
                    before,
                    "{part} {kind:?} {action:?}: {output:?}"
                );
            }
        }
    }
}

#[test]
fn qmail_rm_moves_to_the_trash_that_was_named_inside_its_sandbox() {
    let lair = Lair::new();
    let trash = lair.all.path().join("trash");
    let output = lair.run("qmail-rm", &["-r", "-y", trash.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(trash.join("mess.24").exists() && trash.join("info.24").exists());
    let lair = Lair::new();
    let output = lair.run("qmail-rm", &["-r"]);
    assert!(output.status.success(), "{output:?}");
    assert!(lair.root.join("trash/mess.24").exists());
}

#[test]
fn nobody_waits_for_a_fifo_in_a_queue() {
    let lair = Lair::new();
    let layout = queue::Layout::detect(&lair.root).unwrap();
    std::fs::remove_file(layout.mess(ID)).unwrap();
    os::file::make_fifo(&layout.mess(ID), 0o644).unwrap();
    let output = lair.run("qmail-rm", &["-p", "x"]);
    assert_eq!(output.status.code(), Some(111), "{output:?}");
}

#[test]
fn qmail_tcpok_clears_no_other_file() {
    for (part, kind) in FILES
        .map(|kind| ("lock/tcpto", kind))
        .into_iter()
        .chain([("lock", Plant::LinkToDirectory)])
    {
        let lair = Lair::new();
        lair.plant(part, kind);
        let before = lair.facts();
        let output = lair.run("qmail-tcpok", &[]);
        assert_eq!(output.status.code(), Some(111), "{output:?}");
        assert_eq!(lair.facts(), before, "{part} {kind:?}");
    }
    let lair = Lair::new();
    std::fs::write(lair.root.join("lock/tcpto"), [7; 2048]).unwrap();
    assert!(lair.run("qmail-tcpok", &[]).status.success());
    let table = std::fs::read(lair.root.join("lock/tcpto")).unwrap();
    assert_eq!(table, [0; 2048]);
}

#[test]
fn directories_swapped_meanwhile_lead_nowhere() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    use std::sync::atomic::{AtomicBool, Ordering};
    let lair = Lair::new();
    let (real, link) = (lair.root.join("info/1"), lair.root.join("link"));
    symlink(&lair.victim, &link).unwrap();
    let before = lair.facts();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let exchange = RenameFlags::RENAME_EXCHANGE;
                renameat2(AT_FDCWD, &real, AT_FDCWD, &link, exchange).unwrap();
            }
        });
        let root = lair.root.to_str().unwrap();
        for round in 0..10 {
            let fix = lair.run("queue-fix", &["-m", root]);
            let age = lair.run("qmail-rm", &["-X", "0"]);
            if lair.facts() != before || round == 9 {
                is_over.store(true, Ordering::Relaxed);
                assert_eq!(lair.facts(), before, "{fix:?} {age:?}");
                break;
            }
        }
    });
}
