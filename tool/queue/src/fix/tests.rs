//! What a run makes of queues in every state.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use super::*;

fn fix(root: &Path, wishes: &Wishes) -> bool {
    run(root, wishes).unwrap()
}

fn run(root: &Path, wishes: &Wishes) -> Result<bool, Exit> {
    Fix::new(root.to_owned(), wishes, None)?
        .ready()?
        .everything()
}

/// Everything a run could change.
fn state(root: &Path) -> BTreeMap<PathBuf, (u64, u32, i64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let facts = (metadata.ino(), metadata.mode(), metadata.mtime());
            let is_file = metadata.is_file();
            found.insert(path, if is_file { facts } else { (0, facts.1, 0) });
        }
    }
    found
}

/// A queue with three messages under wrong numbers: two have each other's.
fn copied(split: u64) -> (tempfile::TempDir, PathBuf, Vec<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("queue1");
    queue::create(&root, None).unwrap();
    fix(
        &root,
        &Wishes {
            split: Some(split),
            ..Wishes::default()
        },
    );
    let mut inodes = Vec::new();
    for name in ["a", "b", "c"] {
        let path = root.join("mess").join(name);
        std::fs::write(&path, name).unwrap();
        inodes.push(path.metadata().unwrap().ino());
    }
    // A number that none of them has.
    let other = inodes.iter().max().unwrap() + 1;
    let wrong = [inodes[1], inodes[0], other];
    for (name, number) in ["a", "b", "c"].iter().zip(wrong) {
        let subdirectory = (number % split).to_string();
        let to = |kind: &str| root.join(kind).join(&subdirectory).join(number.to_string());
        std::fs::rename(root.join("mess").join(name), to("mess")).unwrap();
        std::fs::write(to("info"), format!("F{name}\0")).unwrap();
        std::fs::write(to("remote"), format!("T{name}@x\0")).unwrap();
        let info = std::fs::File::open(to("info")).unwrap();
        os::file::set_mtime(&info, 1000).unwrap();
    }
    std::fs::write(root.join("bounce").join(wrong[0].to_string()), "a").unwrap();
    (directory, root, inodes)
}

fn is_whole(root: &Path, inodes: &[u64]) {
    let layout = queue::Layout::detect(root).unwrap();
    for (name, id) in ["a", "b", "c"].iter().zip(inodes) {
        assert_eq!(std::fs::read_to_string(layout.mess(*id)).unwrap(), *name);
        assert_eq!(layout.mess(*id).metadata().unwrap().ino(), *id);
        let info = queue::Info::read(&layout.info(*id)).unwrap();
        assert_eq!((info.sender, info.birth), (name.as_bytes().to_vec(), 1000));
        let remote = std::fs::read_to_string(layout.remote(*id)).unwrap();
        assert_eq!(remote, format!("T{name}@x\0"));
    }
    assert_eq!(
        std::fs::read_to_string(layout.bounce(inodes[0])).unwrap(),
        "a"
    );
    assert!(!layout.bounce(inodes[1]).exists());
}

#[test]
fn a_copied_queue_gets_its_numbers_back_and_a_second_run_changes_nothing() {
    for split in [23, 151] {
        let (_directory, root, inodes) = copied(split);
        let before = state(&root);
        let dry = Wishes {
            dry_run: true,
            ..Wishes::default()
        };
        assert!(!fix(&root, &dry));
        assert_eq!(state(&root), before, "a dry run changes nothing");
        assert!(fix(&root, &Wishes::default()));
        is_whole(&root, &inodes);
        let after = state(&root);
        assert!(fix(&root, &dry), "nothing is left to say");
        assert_eq!(state(&root), after);
    }
}

#[test]
fn a_run_that_was_cut_anywhere_is_finished_by_the_next() {
    let mut stop = 0;
    loop {
        let (_directory, root, inodes) = copied(23);
        messages::STOP_AFTER.with(|steps| steps.set(Some(stop)));
        let cut = run(&root, &Wishes::default());
        messages::STOP_AFTER.with(|steps| steps.set(None));
        if cut.is_ok() {
            break;
        }
        assert!(fix(&root, &Wishes::default()), "after {stop}");
        is_whole(&root, &inodes);
        stop += 1;
    }
    assert!(15 < stop, "only {stop} steps");
}

#[test]
fn every_layout_becomes_every_other() {
    let (_directory, root, inodes) = copied(23);
    for (split, todo) in [(151, true), (7, false), (23, true), (23, false)] {
        let wishes = Wishes {
            split: Some(split),
            todo_is_split: Some(todo),
            ..Wishes::default()
        };
        std::fs::write(root.join("mess/unrelated"), "").unwrap();
        assert!(!fix(&root, &wishes), "what it does not know it leaves");
        std::fs::remove_file(root.join("mess/unrelated")).unwrap();
        assert!(fix(&root, &wishes));
        is_whole(&root, &inodes);
        assert_eq!(queue::Layout::detect(&root).unwrap().split(), split);
        assert_eq!(root.join("todo/0").exists(), todo);
        assert!(!root.join("mess").join(split.to_string()).exists());
    }
}

#[test]
fn what_is_broken_is_mended_and_strays_go() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let (_directory, root, inodes) = copied(23);
    std::fs::remove_dir_all(root.join("lock")).unwrap();
    std::fs::create_dir(root.join("lock")).unwrap();
    std::fs::write(root.join("lock/trigger"), "plain").unwrap();
    std::fs::write(root.join("lock/tcpto"), "short").unwrap();
    std::fs::remove_dir_all(root.join("bounce")).ok();
    std::fs::create_dir(root.join("bounce")).unwrap();
    let bounce = root.join("bounce").join(inodes[1].to_string());
    std::fs::write(bounce, "a").unwrap();
    std::fs::remove_dir_all(root.join("intd")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(root.join("info"), mode).unwrap();
    for stray in ["todo/1", "local/1/1", "bounce/1", "info/1/1"] {
        std::fs::write(root.join(stray), "").unwrap();
    }
    assert!(fix(&root, &Wishes::default()));
    is_whole(&root, &inodes);
    for stray in ["todo/1", "local/1/1", "bounce/1", "info/1/1"] {
        assert!(!root.join(stray).exists(), "{stray}");
    }
    let trigger = root.join("lock/trigger").metadata().unwrap();
    assert!(trigger.file_type().is_fifo() && trigger.mode() & 0o7777 == 0o622);
    assert_eq!(root.join("lock/tcpto").metadata().unwrap().len(), 2048);
    assert_eq!(root.join("info").metadata().unwrap().mode() & 0o7777, 0o700);
    assert!(root.join("intd").is_dir() && root.join("lock/sendmutex").is_file());
}

#[test]
fn it_does_not_work_under_a_running_daemon() {
    let (_directory, root, _) = copied(23);
    let mutex = std::fs::File::options()
        .append(true)
        .open(root.join("lock/sendmutex"))
        .unwrap();
    let _held = os::file::try_lock(mutex).unwrap().unwrap();
    let error = run(&root, &Wishes::default()).unwrap_err();
    assert!(
        error.to_string().contains("qmail-send is running"),
        "{error}"
    );
}
