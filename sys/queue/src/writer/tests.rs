//! The order of operations, failed and stopped at every step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use super::*;
use crate::{Disk, create};

const TEXT: &[u8] = b"Subject: x\n\nbody\n";
const ENVELOPE: &[u8] =
    b"u7\0p8\0Fann@example.org\0Tbob@example.org\0Tcarol@example.net\0hX: y\n\0";

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// It fails; later ones work.
    Fails,
    /// The process is killed: nothing happens any more.
    Killed,
}

/// Writes down every operation, and makes one of them go wrong.
#[derive(Clone)]
struct Spy {
    disk: Disk,
    log: Rc<RefCell<Vec<String>>>,
    at: Rc<Cell<Option<(usize, Trouble)>>>,
    happened: Rc<Cell<bool>>,
}

struct SpyFile {
    file: <Disk as FileSystem>::File,
    name: String,
    spy: Spy,
}

impl Spy {
    fn new(disk: Disk, at: Option<(usize, Trouble)>) -> Self {
        Self {
            disk,
            log: Rc::default(),
            at: Rc::new(Cell::new(at)),
            happened: Rc::default(),
        }
    }

    fn operation(&self, what: String) -> io::Result<()> {
        let number = self.log.borrow().len();
        self.log.borrow_mut().push(what);
        match self.at.get() {
            Some((at, trouble)) if at == number || (at < number && trouble == Trouble::Killed) => {
                self.happened.set(true);
                Err(io::Error::from_raw_os_error(nix::libc::EIO))
            }
            _ => Ok(()),
        }
    }
}

fn short(path: &Path) -> String {
    path.iter()
        .map(|part| part.to_string_lossy())
        .skip_while(|part| !["pid", "mess", "intd", "todo", "lock"].contains(&part.as_ref()))
        .take(1)
        .collect()
}

impl Write for SpyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.spy.operation(format!("write {}", self.name));
        if let Err(error) = result {
            // Half of it got to the disk, as with ENOSPC.
            if self
                .spy
                .at
                .get()
                .is_some_and(|(_, trouble)| trouble == Trouble::Fails)
            {
                let _ = self.file.write(&bytes[..bytes.len() / 2]);
            }
            return Err(error);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl FileSystem for Spy {
    type File = SpyFile;
    type Input = std::fs::File;

    fn create(&self, name: &Path) -> io::Result<SpyFile> {
        self.operation(format!("create {}", short(name)))?;
        Ok(SpyFile {
            file: self.disk.create(name)?,
            name: short(name),
            spy: self.clone(),
        })
    }

    fn inode(&self, file: &SpyFile) -> io::Result<u64> {
        self.operation("inode".to_owned())?;
        self.disk.inode(&file.file)
    }

    fn link(&self, file: &SpyFile, name: &Path) -> io::Result<()> {
        self.operation(format!("link {}", short(name)))?;
        self.disk.link(&file.file, name)
    }

    fn drop_first_name(&self, file: &SpyFile) -> io::Result<()> {
        self.operation(format!("drop {}", file.name))?;
        self.disk.drop_first_name(&file.file)
    }

    fn unlink(&self, name: &Path) -> io::Result<()> {
        self.operation(format!("unlink {}", short(name)))?;
        self.disk.unlink(name)
    }

    fn sync_file(&self, file: &SpyFile) -> io::Result<()> {
        self.operation(format!("sync {}", file.name))?;
        self.disk.sync_file(&file.file)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.operation(format!("syncdir {}", short(directory)))
    }

    fn pull_trigger(&self, fifo: &Path) {
        let _ = self.operation(format!("pull {}", short(fifo)));
    }

    fn create_named(&self, _: &Path) -> io::Result<SpyFile> {
        unreachable!("the writer of messages does not ask for it")
    }

    fn append(&self, _: &Path) -> io::Result<SpyFile> {
        unreachable!("the writer of messages does not ask for it")
    }

    fn truncate(&self, file: &SpyFile, bytes: u64) -> io::Result<()> {
        self.disk.truncate(&file.file, bytes)
    }

    fn overwrite(&self, name: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.overwrite(name, offset, bytes)
    }

    fn set_mtime(&self, file: &SpyFile, time: i64) -> io::Result<()> {
        self.disk.set_mtime(&file.file, time)
    }

    fn open(&self, name: &Path) -> io::Result<std::fs::File> {
        self.disk.open(name)
    }

    fn status_of(&self, input: &std::fs::File) -> io::Result<crate::Status> {
        self.disk.status_of(input)
    }

    fn status(&self, name: &Path) -> io::Result<crate::Status> {
        self.disk.status(name)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<u64>> {
        self.disk.list(directory)
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.disk.sync_everything()
    }
}

fn queue_one<F: FileSystem>(writer: &Writer<F>) -> Result<Queued, Error> {
    let mut text = writer.begin()?;
    text.write(TEXT)?;
    let head = EnvelopeHead {
        uid: 7,
        pid: 8,
        sender: b"ann@example.org",
    };
    let mut recipients = text.envelope(head)?;
    recipients.add(b"bob@example.org")?;
    recipients.add(b"carol@example.net")?;
    recipients.commit(b"", b"X: y\n")
}

/// The numbers of files below a directory of the queue.
fn numbers(layout: &Layout, directory: &str) -> BTreeSet<u64> {
    layout
        .directories(directory)
        .iter()
        .flat_map(|path| std::fs::read_dir(path).unwrap())
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

/// Every message is in a state of §2.5, and what is queued is whole.
fn assert_states(layout: &Layout) {
    let [mess, intd, todo] = ["mess", "intd", "todo"].map(|name| numbers(layout, name));
    for &id in &mess {
        assert_eq!(std::fs::metadata(layout.mess(id)).unwrap().ino(), id);
    }
    for id in intd.iter().chain(&todo) {
        assert!(mess.contains(id), "envelope {id} without a text");
    }
    for &id in &todo {
        assert_eq!(std::fs::read(layout.mess(id)).unwrap(), TEXT);
        assert_eq!(std::fs::read(layout.todo(id)).unwrap(), ENVELOPE);
    }
}

fn new_queue(directory: &tempfile::TempDir) -> Layout {
    let root = directory.path().join("queue1");
    create(&root, None).unwrap();
    Layout::detect(root).unwrap()
}

/// Runs with trouble at operation 0, 1, 2, ... until there was none.
fn at_every_operation(trouble: Trouble, check: impl Fn(&Layout, &Result<Queued, Error>, &Spy)) {
    for disk in [Disk::new(), Disk::with_names()] {
        for n in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let layout = new_queue(&directory);
            let spy = Spy::new(disk.clone(), Some((n, trouble)));
            let writer = Writer::new(layout.clone(), spy.clone(), Durability::default());
            let result = queue_one(&writer);
            assert_states(&layout);
            check(&layout, &result, &spy);
            if !spy.happened.get() {
                assert!(result.is_ok());
                break;
            }
        }
    }
}

#[test]
fn a_failure_at_any_step_leaves_nothing_and_is_reported() {
    at_every_operation(Trouble::Fails, |layout, result, spy| {
        let left = ["pid", "mess", "intd", "todo"].map(|name| {
            layout
                .directories(name)
                .iter()
                .flat_map(|d| std::fs::read_dir(d).unwrap())
                .count()
        });
        match result {
            Ok(queued) => assert!(layout.todo(queued.id).exists()),
            // Others may be reading the text already: it stays for clean-up.
            Err(Error::SyncDirectory { path, .. }) if path.ends_with("todo") => {
                assert_eq!((left[0], left[3]), (0, 0), "{:?}", spy.log);
            }
            Err(error) => {
                assert_eq!(left, [0; 4], "{:?}", spy.log);
                assert!(40 < error.exit_code(), "trouble with the disk is temporary");
            }
        }
    });
}

#[test]
fn a_kill_at_any_step_leaves_a_state_of_the_table() {
    at_every_operation(Trouble::Killed, |layout, result, _| {
        if result.is_ok() {
            assert_eq!(numbers(layout, "todo").len(), 1);
        }
    });
}

#[test]
fn everything_is_durable_before_it_is_queued_and_before_we_say_yes() {
    for disk in [Disk::new(), Disk::with_names()] {
        let directory = tempfile::tempdir().unwrap();
        let spy = Spy::new(disk, None);
        let writer = Writer::new(new_queue(&directory), spy.clone(), Durability::default());
        queue_one(&writer).unwrap();
        let expected = [
            "create pid",
            "inode",
            "write pid",
            "link mess",
            "drop pid",
            "create intd",
            "write intd",
            "sync pid",
            "sync intd",
            "syncdir mess",
            "link todo",
            "syncdir todo",
            "pull lock",
        ];
        assert_eq!(*spy.log.borrow(), expected);
    }
}

#[test]
fn a_number_that_is_taken_is_a_temporary_error_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let layout = new_queue(&directory);
    let writer = Writer::new(layout.clone(), Disk::new(), Durability::default());
    let text = writer.begin().unwrap();
    let taken = layout.mess(text.id());
    std::fs::write(&taken, "older").unwrap();
    let head = EnvelopeHead {
        uid: 0,
        pid: 1,
        sender: b"",
    };
    let error = text.envelope(head).map(drop).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert_eq!(std::fs::read(&taken).unwrap(), b"older");
}

#[test]
fn a_message_that_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let layout = new_queue(&directory);
    let writer = Writer::new(layout.clone(), Disk::new(), Durability::default());
    let mut text = writer.begin().unwrap();
    text.write(&[b'x'; 100_000]).unwrap();
    drop(text);
    let mut text = writer.begin().unwrap();
    text.write(TEXT).unwrap();
    let mut recipients = text
        .envelope(EnvelopeHead {
            uid: 0,
            pid: 1,
            sender: b"",
        })
        .unwrap();
    recipients.add(b"ann@example.org").unwrap();
    drop(recipients);
    for name in ["mess", "intd", "todo"] {
        assert!(numbers(&layout, name).is_empty());
    }
}

#[test]
fn addresses_have_their_limits() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::new(new_queue(&directory), Disk::new(), Durability::default());
    let add = |address: &[u8]| {
        let head = EnvelopeHead {
            uid: 0,
            pid: 1,
            sender: b"",
        };
        let mut recipients = writer.begin().unwrap().envelope(head).unwrap();
        recipients.add(address).map_err(|error| error.exit_code())
    };
    assert_eq!(add(&[b'a'; 1002]), Ok(()));
    assert_eq!(add(&[b'a'; 1003]), Err(11));
    assert_eq!(add(b"a\nTo: b"), Err(31));
}

#[test]
fn too_little_free_space_defers() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::new(new_queue(&directory), Disk::new(), Durability::default())
        .with_bytes_free_min(u64::MAX);
    assert_eq!(writer.begin().map(drop).unwrap_err().exit_code(), 53);
}
