//! Real files, and every step failed or stopped.

use super::opened::Fresh;
use super::*;

fn maildir() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["tmp", "new", "cur"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    directory
}

fn message(text: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_size_in_the_name_is_the_size_of_the_file() {
    let directory = maildir();
    let done = deliver(
        directory.path(),
        "h:o/st",
        b"A: b\n",
        &message(b"C: d\n\nx"),
        None,
    )
    .unwrap();
    assert_eq!(names(&directory.path().join("new")), [&done.name[..]]);
    assert!(names(&directory.path().join("tmp")).is_empty());
    let content = std::fs::read(directory.path().join("new").join(&done.name)).unwrap();
    assert_eq!(content, b"A: b\nC: d\n\nx");
    assert!(
        done.name
            .ends_with(&format!(".h072o057st,S={}", content.len()))
    );
    let after_seconds = done.name.split_once('.').unwrap().1;
    assert!(after_seconds.starts_with('I') && after_seconds.contains('V'));
}

#[test]
fn a_large_message_arrives_whole() {
    let directory = maildir();
    let text = vec![b'x'; 3 * CHUNK_BYTES + 17];
    let done = deliver(directory.path(), "h", b"P: q\n", &message(&text), None).unwrap();
    assert_eq!(done.bytes, text.len() as u64 + 5);
}

#[test]
fn many_at_once_all_arrive() {
    let directory = maildir();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    deliver(directory.path(), "h", b"", &message(b"x\n"), None).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&directory.path().join("new")).len(), 200);
}

#[test]
fn a_missing_maildir_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Maildir");
    let error = deliver(&path, "h", b"", &message(b"x"), None).unwrap_err();
    assert!(matches!(error, Error::Enter { .. }));
    assert!(!path.exists());
}

#[test]
fn a_link_in_place_of_new_leads_nowhere() {
    let directory = maildir();
    let outside = tempfile::tempdir().unwrap();
    std::fs::remove_dir(directory.path().join("new")).unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("new")).unwrap();
    assert!(deliver(directory.path(), "h", b"", &message(b"x"), None).is_err());
    assert!(names(outside.path()).is_empty());
    assert!(names(&directory.path().join("tmp")).is_empty());
}

#[test]
fn a_directory_that_keeps_becoming_a_link_leads_nowhere() {
    let directory = maildir();
    let outside = tempfile::tempdir().unwrap();
    for name in ["new", "tmp"] {
        std::os::unix::fs::symlink(
            outside.path(),
            directory.path().join(format!("{name}.link")),
        )
        .unwrap();
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let delivered = std::thread::scope(|scope| {
        scope.spawn(|| {
            let at = |name: &str| directory.path().join(name);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for name in ["new", "tmp"] {
                    let (link, kept) = (at(&format!("{name}.link")), at(&format!("{name}.kept")));
                    std::fs::rename(at(name), &kept).unwrap();
                    std::fs::rename(&link, at(name)).unwrap();
                    std::fs::rename(at(name), &link).unwrap();
                    std::fs::rename(&kept, at(name)).unwrap();
                }
            }
        });
        let deliver = || deliver(directory.path(), "h", b"", &message(b"x"), None).is_ok();
        let delivered = (0..300).filter(|_| deliver()).count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        delivered
    });
    assert!(names(outside.path()).is_empty());
    // What counted as delivered is where it belongs, and nothing else is.
    assert_eq!(names(&directory.path().join("new")).len(), delivered);
    assert!(names(&directory.path().join("tmp")).is_empty());
}

#[test]
fn an_unreadable_message_leaves_nothing_behind() {
    let directory = maildir();
    let unreadable = File::open(directory.path()).unwrap();
    let error = deliver(directory.path(), "h", b"", &unreadable, None).unwrap_err();
    assert!(matches!(error, Error::Read(_)));
    assert!(names(&directory.path().join("tmp")).is_empty());
    assert!(names(&directory.path().join("new")).is_empty());
}

/// What can fail, or be cut off by a crash, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Create,
    Write,
    SyncFile,
    Link,
    SyncDirectory,
    Unlink,
}

/// Asks ahead of each step, so that a test can fail it or stop there.
type Before<'a> = &'a dyn Fn(Step) -> io::Result<()>;

struct Watched<'a> {
    place: Opened<'a>,
    before: Before<'a>,
}

struct WatchedFile<'a> {
    file: Fresh,
    before: Before<'a>,
}

impl Write for WatchedFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.before)(Step::Write)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Place for Watched<'a> {
    type File = WatchedFile<'a>;

    fn create(&self, name: &str) -> io::Result<WatchedFile<'a>> {
        (self.before)(Step::Create)?;
        let before = self.before;
        let file = self.place.create(name)?;
        Ok(WatchedFile { file, before })
    }

    fn identity(&self, file: &WatchedFile<'a>) -> io::Result<(u64, u64)> {
        self.place.identity(&file.file)
    }

    fn sync_file(&self, file: &WatchedFile<'a>) -> io::Result<()> {
        (self.before)(Step::SyncFile)?;
        self.place.sync_file(&file.file)
    }

    fn link(&self, file: &WatchedFile<'a>, temporary: &str, name: &str) -> io::Result<()> {
        (self.before)(Step::Link)?;
        self.place.link(&file.file, temporary, name)
    }

    fn sync_new(&self, file: &WatchedFile<'a>) -> io::Result<()> {
        (self.before)(Step::SyncDirectory)?;
        self.place.sync_new(&file.file)
    }

    fn unlink_new(&self, name: &str) -> io::Result<()> {
        self.place.unlink_new(name)
    }

    fn unlink_tmp(&self, file: &WatchedFile<'a>, name: &str) -> io::Result<()> {
        let _ = (self.before)(Step::Unlink);
        self.place.unlink_tmp(&file.file, name)
    }
}

fn deliver_in_steps(maildir: &Path, before: Before<'_>) -> Result<Delivered, Error> {
    let place = Opened::new(maildir, None)?;
    let place = Watched { place, before };
    deliver_to(&place, maildir, "h", b"A: b\n", &message(b"x"))
}

const STEPS: [Step; 6] = [
    Step::Create,
    Step::Write,
    Step::SyncFile,
    Step::Link,
    Step::SyncDirectory,
    Step::Unlink,
];

#[test]
fn the_steps_are_taken_in_their_order() {
    let directory = maildir();
    let taken = std::cell::RefCell::new(Vec::new());
    let before = |step| {
        taken.borrow_mut().push(step);
        Ok(())
    };
    deliver_in_steps(directory.path(), &before).unwrap();
    assert_eq!(*taken.borrow(), STEPS);
}

#[test]
fn a_step_that_fails_leaves_no_message_and_no_rest() {
    for failing in &STEPS[..5] {
        for (number, full) in [(nix::libc::EIO, false), (nix::libc::EDQUOT, true)] {
            let directory = maildir();
            let before = |step| match step == *failing {
                true => Err(io::Error::from_raw_os_error(number)),
                false => Ok(()),
            };
            let result = deliver_in_steps(directory.path(), &before);
            let error = result.unwrap_err();
            assert_eq!(matches!(error, Error::Full(_)), full, "{failing:?}");
            assert!(
                names(&directory.path().join("new")).is_empty(),
                "{failing:?}"
            );
            assert!(
                names(&directory.path().join("tmp")).is_empty(),
                "{failing:?}"
            );
        }
    }
}

#[test]
fn a_crash_shows_the_whole_message_or_none() {
    for crash in STEPS {
        let directory = maildir();
        let path = directory.path().to_owned();
        // A panic takes nothing back, as a crash does not.
        let crashed = std::thread::spawn(move || {
            let before = |step| {
                assert!(step != crash, "the machine stops here");
                Ok(())
            };
            deliver_in_steps(&path, &before)
        });
        assert!(crashed.join().is_err());
        for name in names(&directory.path().join("new")) {
            let content = std::fs::read(directory.path().join("new").join(name)).unwrap();
            assert_eq!(content, b"A: b\nx", "{crash:?}");
        }
        // The queue tries again, whatever is left.
        deliver(directory.path(), "h", b"A: b\n", &message(b"x"), None).unwrap();
        assert!(!names(&directory.path().join("new")).is_empty());
    }
}
