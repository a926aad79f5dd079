//! queue-fix: makes a queue what it should be (queue-and-delivery.md §9.8).
//!
//! Directories, owners, modes, the lock directory; then every text whose name
//! is not its inode number, or that is in the wrong subdirectory, gets the
//! right name together with all files of its message; then files that belong
//! to no message go. With another split it moves everything there.
//!
//! A message is renamed in two steps, because its new number can be another
//! message's old one: first all its files get the new number and `.tmp`, the
//! text last; when no message is left to rename, `.tmp` goes, of the text
//! last. So in every state a crash can leave, a text without `.tmp` says which
//! of its files are not renamed yet, and a run begun again ends well: unlike
//! the original, which stops at what an earlier run left.

mod messages;
mod tree;
mod writers;

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use os::account::{Account, Identity, group};
use os::file::Lock;
use queue::Owners;
use run::{Exit, Home};

use crate::options::Options;

pub const USAGE: &str =
    "usage: queue-fix [-iNvrmt] [-b 0|1] [-s split] [-S tcptosize] [directory...]
Checks and mends queues; without a directory those of this installation.
Stop qmail-send and everything that queues mail first.
  -N  only say what is wrong    -i  ask before each kind of change
  -v  say what is looked at     -m  everything belongs to one user
  -r  make ratelimit            -t  make trash
  -b  1: todo and intd are split, 0: they are not (default: as they are)
  -s  number of subdirectories (default: as it is); moves all messages
  -S  size of lock/tcpto, 1024 or 2048 (default: as it is)
Exit codes: 0 the queue is good, 100 wrong use, 111 it is not.
";

/// Fewest and most subdirectories.
const SPLIT_MAX: u64 = 10_000;

/// What was asked for.
#[derive(Clone, Debug, Default)]
struct Wishes {
    dry_run: bool,
    ask: bool,
    verbose: bool,
    ratelimit: bool,
    trash: bool,
    split: Option<u64>,
    todo_is_split: Option<bool>,
    tcpto_bytes: Option<usize>,
}

/// What kind of change, for those who want to be asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Directories,
    Owners,
    Modes,
    Locks,
    Names,
    Strays,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Directories => "make and remove directories",
            Self::Owners => "change owners",
            Self::Modes => "change modes",
            Self::Locks => "mend the lock directory",
            Self::Names => "rename files to their inode numbers and subdirectories",
            Self::Strays => "remove files that belong to no message",
        }
    }
}

/// One run over one queue.
struct Fix {
    root: PathBuf,
    wishes: Wishes,
    owners: Option<Owners>,
    split: u64,
    todo_is_split: bool,
    answers: std::collections::BTreeMap<Kind, bool>,
    /// Something stays wrong.
    is_left: bool,
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "iNvrmtb:s:S:", USAGE)?;
    let wrong = || run::usage::misused(USAGE);
    let mut wishes = Wishes {
        dry_run: options.has('N'),
        ask: options.has('i'),
        verbose: options.has('v'),
        ratelimit: options.has('r'),
        trash: options.has('t'),
        ..Wishes::default()
    };
    for (letter, value) in &options.letters {
        let value = value.as_deref().unwrap_or_default();
        match letter {
            'b' => {
                wishes.todo_is_split = Some(match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(wrong()),
                });
            }
            's' => {
                let split = value.parse().ok().filter(|n| (1..=SPLIT_MAX).contains(n));
                wishes.split = Some(split.ok_or_else(wrong)?);
            }
            'S' => {
                let size = value.parse().ok().filter(|n| matches!(n, 1024 | 2048));
                wishes.tcpto_bytes = Some(size.ok_or_else(wrong)?);
            }
            _ => {}
        }
    }
    let owners = owners(options.has('m'))?;
    let roots: Vec<PathBuf> = match options.rest.is_empty() {
        true => crate::queues::directories(home)?,
        false => options.rest.iter().map(PathBuf::from).collect(),
    };
    let mut is_good = true;
    for root in roots {
        is_good &= Fix::new(root, &wishes, owners)?.everything()?;
    }
    match is_good {
        true => Ok(()),
        false => Err(Exit::new(
            run::TEMPORARY,
            "something is still wrong, see above",
        )),
    }
}

/// `None`: everything belongs to whoever calls.
fn owners(is_single_user: bool) -> Result<Option<Owners>, Exit> {
    if is_single_user || !os::account::is_root() {
        return Ok(None);
    }
    let fatal = |error: os::account::AccountError| Exit::new(run::TEMPORARY, error.to_string());
    let gid = group("qmail").map_err(fatal)?;
    let member = |name| {
        let uid = Account::by_name(name).map_err(fatal)?.identity.uid;
        Ok::<_, Exit>(Identity { uid, gid })
    };
    Ok(Some(Owners {
        qmailq: member("qmailq")?,
        qmails: member("qmails")?,
        qmailr: member("qmailr")?,
    }))
}

fn trouble(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Exit {
    let path = path.display();
    Exit::new(run::TEMPORARY, format!("unable to {verb} {path}: {error}"))
}

impl Fix {
    fn new(root: PathBuf, wishes: &Wishes, owners: Option<Owners>) -> Result<Self, Exit> {
        let metadata =
            std::fs::metadata(&root).map_err(|error| trouble("find queue", &root, &error))?;
        if !metadata.is_dir() {
            return Err(trouble("use queue", &root, &"it is no directory"));
        }
        let found = tree::subdirectories(&root.join("mess"));
        let split = wishes.split.or(found).unwrap_or(queue::SPLIT_DEFAULT);
        let todo_is_split = root.join("todo/0").is_dir();
        Ok(Self {
            todo_is_split: wishes.todo_is_split.unwrap_or(todo_is_split),
            root,
            wishes: wishes.clone(),
            owners,
            split,
            answers: Default::default(),
            is_left: false,
        })
    }

    /// Says whether the queue is good afterwards.
    fn everything(mut self) -> Result<bool, Exit> {
        self.look(&format!(
            "queue {}, split {}",
            self.root.display(),
            self.split
        ));
        if let Some(name) = writers::unsuitable_file_system(&self.root) {
            let why =
                format!("inode numbers of {name} do not last; move the queue to a local disk");
            return Err(trouble("use queue", &self.root, &why));
        }
        let _lock = self.lock()?;
        if let Some(writer) = writers::writer(&self.root) {
            let why = format!("process {writer} is writing a message; stop it first");
            return Err(trouble("use queue", &self.root, &why));
        }
        self.tree()?;
        self.messages()?;
        self.superfluous()?;
        if !self.wishes.dry_run
            && let Ok(directory) = std::fs::File::open(&self.root)
        {
            os::file::sync_file_system(&directory)
                .map_err(|error| trouble("sync", &self.root, &error))?;
        }
        Ok(!self.is_left)
    }

    /// No qmail-send may start while we work. A queue without the file has no
    /// qmail-send either.
    fn lock(&self) -> Result<Option<Lock>, Exit> {
        let path = self.root.join("lock/sendmutex");
        let file = match std::fs::File::options().append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| trouble("open", &path, &error))?,
        };
        let lock = os::file::try_lock(file).map_err(|error| trouble("lock", &path, &error))?;
        let busy = || {
            trouble(
                "use queue",
                &self.root,
                &"qmail-send is running; stop it first",
            )
        };
        lock.map(Some).ok_or_else(busy)
    }

    /// Does one thing, unless nothing is to be done; says so either way.
    fn change(
        &mut self,
        kind: Kind,
        what: &str,
        act: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), Exit> {
        println!("{what}");
        if self.wishes.dry_run || !self.may(kind)? {
            self.is_left = true;
            return Ok(());
        }
        act().map_err(|error| Exit::new(run::TEMPORARY, format!("unable to {what}: {error}")))
    }

    fn may(&mut self, kind: Kind) -> Result<bool, Exit> {
        if !self.wishes.ask {
            return Ok(true);
        }
        if let Some(answer) = self.answers.get(&kind) {
            return Ok(*answer);
        }
        let fatal = |error: io::Error| Exit::new(run::TEMPORARY, format!("cannot ask: {error}"));
        print!("{}? (y/n) ", kind.words());
        io::stdout().flush().map_err(fatal)?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(fatal)?;
        let answer = line.trim_start().starts_with(['y', 'Y']);
        self.answers.insert(kind, answer);
        Ok(answer)
    }

    /// What we cannot mend.
    fn warn(&mut self, text: &str) {
        println!("warning: {text}");
        self.is_left = true;
    }

    fn look(&self, text: &str) {
        if self.wishes.verbose {
            println!("{text}");
        }
    }

    /// Where the file of a message belongs.
    fn place(&self, directory: &str, number: u64) -> PathBuf {
        let base = self.root.join(directory);
        match self.is_split(directory) {
            true => base
                .join((number % self.split).to_string())
                .join(number.to_string()),
            false => base.join(number.to_string()),
        }
    }

    fn is_split(&self, directory: &str) -> bool {
        match directory {
            "mess" | "info" | "local" | "remote" => true,
            "todo" | "intd" => self.todo_is_split,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn fix(root: &Path, wishes: &Wishes) -> bool {
        let fix = Fix::new(root.to_owned(), wishes, None).unwrap();
        fix.everything().unwrap()
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
        let wrong = [inodes[1], inodes[0], inodes[2] + 1];
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
            let cut = Fix::new(root.clone(), &Wishes::default(), None)
                .unwrap()
                .everything();
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
        let refused = Fix::new(root, &Wishes::default(), None)
            .unwrap()
            .everything();
        let error = refused.unwrap_err();
        assert!(
            error.to_string().contains("qmail-send is running"),
            "{error}"
        );
    }
}
