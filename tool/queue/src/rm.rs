//! qmail-rm: finds messages by their content and removes them, or makes them
//! expire (queue-and-delivery.md §9.3).
//!
//! Whatever changes something needs, and keeps, the lock of qmail-send:
//! unlike the original, that is so for all of `-r -d -X -x`. Making a message
//! expire sets the time of `info`, its birth, and nothing else.
//!
//! Root works here in directories of others: no link is followed, and the
//! sandbox knows nothing but the queues and the trash.

mod pattern;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use os::beneath::{Access, Directory};
use os::file::Lock;
use queue::Layout;
use run::{Exit, Home};

use crate::options::Options;
use crate::{output, queues};
use pattern::Search;

pub const USAGE: &str = "usage: qmail-rm [-ei] [-p pattern] [-n bytes] [-r [-y dir]] [-d] [-X secs] [-x time [-f format]] [-q base] [-s split] [-v] [--all]
Finds messages in the queue whose text matches a pattern (default: all).
  -e  extended patterns   -i  case does not matter   -n  search so many bytes
  -r  move what matches to the trash: trash in the queue, or -y dir
  -d  remove what matches for good; without -p only with --all
  -X  make it so many seconds older, 0 for a week, so that it expires
  -x  make it as old as if queued then; -f format of time
      (default: %a %b %d %H:%M:%S %Z %Y)
  -q  parent of the queues   -s  expected split   -v  say more
qmail-send must be stopped for -r, -d, -X and -x.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// A message is made this much older when nothing is said.
const OLDER_SECONDS: i64 = 604_800;
const TIME_FORMAT: &str = "%a %b %d %H:%M:%S %Z %Y";
/// What is done with messages that match.
enum Action {
    List,
    /// In the queue, or in a directory of the caller's.
    Trash(Option<Rc<Directory>>),
    Remove,
    Older(i64),
    Born(i64),
}

/// All there is to do.
struct Work {
    queues: Vec<Queue>,
    search: Search,
    action: Action,
    verbose: bool,
}

/// A queue and its open directory.
struct Queue {
    layout: Layout,
    directory: Directory,
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let Some(work) = work(home, arguments)? else {
        return output::print(USAGE.as_bytes());
    };
    run::sandboxes::close(run::sandboxes::queued(&work.places()), "qmail-rm");
    work.run()
}

/// What was asked for; `None`: help.
fn work(home: &Home, mut arguments: Vec<String>) -> Result<Option<Work>, Exit> {
    let before = arguments.len();
    arguments.retain(|argument| argument != "--all");
    let is_for_all = arguments.len() < before;
    let options = Options::parse(arguments, "eip:n:ry:dX:x:f:q:s:vh", USAGE)?;
    if options.has('h') {
        return Ok(None);
    }
    let wrong = |text: &str| Exit::new(run::PERMANENT, text.to_owned());
    if !options.rest.is_empty() {
        return Err(run::usage::misused(USAGE));
    }
    let search = Search::parse(&options)?;
    let action = action(&options)?;
    if matches!(action, Action::Remove) && !options.has('p') && !is_for_all {
        return Err(wrong(
            "-d without -p removes everything; say --all if that is meant",
        ));
    }
    let layouts = match options.value('q') {
        None => queues::all(home)?,
        Some(base) => below(Path::new(base))?,
    };
    if let Some(split) = options.value('s') {
        let is_other = |layout: &&Layout| layout.split().to_string() != split;
        if let Some(layout) = layouts.iter().find(is_other) {
            let (root, found) = (layout.root().display(), layout.split());
            return Err(wrong(&format!("{root} has split {found}, not {split}")));
        }
    }
    let queues = layouts.into_iter().map(|layout| {
        let directory = layout
            .open()
            .map_err(|error| cannot(layout.root(), &error))?;
        Ok(Queue { layout, directory })
    });
    Ok(Some(Work {
        queues: queues.collect::<Result<_, Exit>>()?,
        search,
        action,
        verbose: options.has('v'),
    }))
}

fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Exit {
    let path = path.display();
    Exit::new(run::TEMPORARY, format!("cannot use {path}: {error}"))
}

impl Work {
    fn run(&self) -> Result<(), Exit> {
        for queue in &self.queues {
            let root = queue.layout.root().display();
            if 1 < self.queues.len() || self.verbose {
                output::print(format!("processing queue {root}\n").as_bytes())?;
            }
            self.one_queue(queue)?;
            if 1 < self.queues.len() {
                output::print(b"\n")?;
            }
        }
        Ok(())
    }

    /// Where it may work.
    fn places(&self) -> Vec<PathBuf> {
        let trash = match &self.action {
            Action::Trash(Some(directory)) => Some(directory.lasting_path()),
            _ => None,
        };
        let queues = self.queues.iter().map(|q| q.directory.lasting_path());
        queues.chain(trash).collect()
    }

    fn one_queue(&self, queue: &Queue) -> Result<(), Exit> {
        let layout = &queue.layout;
        let _lock = match self.action {
            Action::List => None,
            _ => Some(lock(layout)?),
        };
        let fatal = |path: &Path, error: io::Error| {
            Exit::new(run::TEMPORARY, format!("{}: {error}", path.display()))
        };
        let mut count = 0;
        for id in queues::ids(layout, "mess")? {
            let path = layout.mess(id);
            let text = queue.directory.file(layout.name_of(&path), Access::Read);
            let is_match = match text.and_then(|text| self.search.finds(text)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(|error| fatal(&path, error))?,
            };
            if !is_match {
                if self.verbose {
                    output::print(format!("{}: no\n", path.display()).as_bytes())?;
                }
                continue;
            }
            count += 1;
            output::print(format!("{}: yes\n", path.display()).as_bytes())?;
            queue
                .act(id, &self.action)
                .map_err(|error| fatal(&path, error))?;
        }
        output::print(format!("{count} file(s) match\n").as_bytes())
    }
}

fn action(options: &Options) -> Result<Action, Exit> {
    let wanted = ['r', 'd', 'X', 'x']
        .into_iter()
        .filter(|letter| options.has(*letter));
    if 1 < wanted.count() {
        return Err(run::usage::misused(USAGE));
    }
    let wrong = |text: String| Exit::new(run::PERMANENT, text);
    if options.has('r') {
        let directory = options.value('y').map(|path| trash(Path::new(path)));
        return Ok(Action::Trash(directory.transpose()?));
    }
    if options.has('d') {
        return Ok(Action::Remove);
    }
    if let Some(text) = options.value('X') {
        let seconds = text
            .parse()
            .map_err(|_| wrong(format!("{text:?} is no number")))?;
        return Ok(Action::Older(if seconds == 0 {
            OLDER_SECONDS
        } else {
            seconds
        }));
    }
    if let Some(text) = options.value('x') {
        let format = options.value('f').unwrap_or(TIME_FORMAT);
        let time = os::clock::parse(text, format);
        return time
            .map(Action::Born)
            .ok_or_else(|| wrong(format!("{text:?} is no time of the form {format:?}")));
    }
    Ok(Action::List)
}

fn below(base: &Path) -> Result<Vec<Layout>, Exit> {
    let fatal = |error: &dyn std::fmt::Display| cannot(base, error);
    if base.join("mess").is_dir() {
        return Ok(vec![Layout::detect(base).map_err(|error| fatal(&error))?]);
    }
    let entries = std::fs::read_dir(base).map_err(|error| fatal(&error))?;
    let mut roots: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    roots.retain(|root| root.join("mess").is_dir());
    roots.sort();
    let layouts = roots.into_iter().map(Layout::detect);
    layouts
        .collect::<Result<_, _>>()
        .map_err(|error| fatal(&error))
}

fn lock(layout: &Layout) -> Result<Lock, Exit> {
    let found = queue::lock_out_senders(layout)
        .map_err(|error| Exit::new(run::TEMPORARY, run::chain(&error)))?;
    found.ok_or_else(|| {
        let root = layout.root().display();
        let text = format!("alert: cannot start: qmail-send with queue {root} is already running");
        Exit::new(run::TEMPORARY, text)
    })
}

/// The directory of `-y`, made when it is not there.
fn trash(path: &Path) -> Result<Rc<Directory>, Exit> {
    use std::os::unix::fs::DirBuilderExt;
    let open = || match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Directory::open(path),
    };
    open().map(Rc::new).map_err(|error| cannot(path, &error))
}

impl Queue {
    fn act(&self, id: u64, action: &Action) -> io::Result<()> {
        match action {
            Action::List => Ok(()),
            Action::Trash(Some(directory)) => self.move_to(directory, id),
            Action::Trash(None) => {
                match self.directory.make_directory("trash", 0o700) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    Err(_) => {}
                    // As queue-fix has it.
                    Ok(()) if os::account::is_root() => {
                        let owner = self.directory.entry("")?.owner();
                        self.directory.entry("trash")?.give(owner)?;
                    }
                    Ok(()) => {}
                }
                self.move_to(&self.directory.directory("trash")?, id)
            }
            Action::Remove => self
                .files(id)
                .iter()
                .try_for_each(|(_, path)| gone(self.directory.remove_file(path))),
            Action::Older(seconds) => self.set_birth(id, |birth| birth - seconds),
            Action::Born(time) => self.set_birth(id, |_| *time),
        }
    }

    /// The files of a message, the text last: without it they are strays.
    fn files(&self, id: u64) -> [(&'static str, PathBuf); 7] {
        let layout = &self.layout;
        [
            ("bounce", layout.bounce(id)),
            ("local", layout.local(id)),
            ("remote", layout.remote(id)),
            ("info", layout.info(id)),
            ("intd", layout.intd(id)),
            ("todo", layout.todo(id)),
            ("mess", layout.mess(id)),
        ]
        .map(|(name, path)| (name, layout.name_of(&path).to_owned()))
    }

    /// Moves all files of a message, named after where they were.
    fn move_to(&self, trash: &Directory, id: u64) -> io::Result<()> {
        for (name, path) in self.files(id) {
            let to = format!("{name}.{id}");
            gone(self.directory.rename_into(&path, trash, to))?;
        }
        trash.sync("")
    }

    /// Changes when a message was born; one that is not preprocessed is born
    /// when its envelope was written.
    fn set_birth(&self, id: u64, change: impl Fn(i64) -> i64) -> io::Result<()> {
        let layout = &self.layout;
        for path in [layout.todo(id), layout.info(id)] {
            let name = layout.name_of(&path);
            let file = match self.directory.file(name, Access::Append) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let metadata = file.metadata()?;
            // An envelope may still have the name under which it was written.
            let names = 1 + u64::from(self.is_same(&layout.intd(id), &metadata));
            if names < metadata.nlink() {
                let text = "it has another name elsewhere: it may be somebody else's file";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            os::file::set_mtime(&file, change(metadata.mtime()).max(0))?;
        }
        Ok(())
    }

    fn is_same(&self, path: &Path, other: &std::fs::Metadata) -> bool {
        let found = self.directory.entry(self.layout.name_of(path));
        found.is_ok_and(|found| {
            let found = found.metadata();
            (found.dev(), found.ino()) == (other.dev(), other.ino())
        })
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn queue() -> (tempfile::TempDir, Layout) {
        let (directory, layout) = testkit::new_queue();
        for (id, text) in [
            (7, "Subject: spam\n\nbuy\n"),
            (8, "Subject: mail\n\nspam\n"),
        ] {
            std::fs::write(layout.mess(id), text).unwrap();
            std::fs::write(layout.info(id), "Fx\0").unwrap();
            std::fs::write(layout.remote(id), "Tx\0").unwrap();
        }
        (directory, layout)
    }

    fn call(layout: &Layout, arguments: &[&str]) -> Result<(), Exit> {
        let home = Home::at("/nonexistent");
        let base = layout.root().to_str().unwrap();
        let all = ["-q", base]
            .iter()
            .chain(arguments)
            .map(|a| (*a).to_owned())
            .collect();
        work(&home, all)?.unwrap().run()
    }

    #[test]
    fn what_matches_goes_to_the_trash_with_all_its_files() {
        let (_directory, layout) = queue();
        call(&layout, &["-p", "^Subject: spam"]).unwrap();
        assert!(layout.mess(7).exists(), "it only lists");
        call(&layout, &["-p", "^Subject: SPAM", "-i", "-r"]).unwrap();
        assert!(!layout.mess(7).exists() && !layout.info(7).exists() && layout.mess(8).exists());
        for name in ["mess.7", "info.7", "remote.7"] {
            assert!(layout.root().join("trash").join(name).exists(), "{name}");
        }
        call(&layout, &["-p", "spam", "-n", "10", "-d"]).unwrap();
        assert!(layout.mess(8).exists(), "the first ten bytes do not match");
        assert!(call(&layout, &["-d"]).is_err(), "everything must be meant");
        call(&layout, &["-d", "--all"]).unwrap();
        assert!(!layout.mess(8).exists() && !layout.remote(8).exists());
    }

    #[test]
    fn only_the_birth_makes_a_message_older() {
        let (_directory, layout) = queue();
        let times = || {
            let paths = [layout.info(7), layout.remote(7), layout.mess(7)];
            paths.map(|path| path.metadata().unwrap().mtime())
        };
        let before = times();
        call(&layout, &["-p", "buy", "-X", "0"]).unwrap();
        let [info, remote, mess] = times();
        assert_eq!(info, before[0] - OLDER_SECONDS);
        assert_eq!([remote, mess], before[1..]);
        let time = "Tue Sep 26 04:46:53 GMT 1995";
        call(&layout, &["-p", "buy", "-x", time]).unwrap();
        assert_eq!(times()[0], 812_090_813);
    }

    #[test]
    fn nothing_is_changed_under_a_running_daemon() {
        let (_directory, layout) = queue();
        let _held = queue::lock_out_senders(&layout).unwrap().unwrap();
        call(&layout, &["-p", "spam"]).unwrap();
        for change in [&["-r"][..], &["-d", "--all"], &["-X", "0"]] {
            let error = call(&layout, change).unwrap_err().to_string();
            assert!(error.contains("is already running"), "{error}");
        }
        assert!(layout.mess(7).exists());
    }
}
