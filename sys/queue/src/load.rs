//! What waits in a queue when qmail-send starts
//! (queue-and-delivery.md §4.3).

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use schedule::{Backlog, Channel, Scheduler};

use crate::files::{mtime, remove};
use crate::progress::whole_failures;
use crate::{FileSystem, Layout, recipients};

/// The numbers that are names in one directory of each kind.
struct Numbered {
    info: Vec<u64>,
    channels: [HashSet<u64>; 2],
    texts: HashSet<u64>,
}

/// What waits, and what is to be logged about it.
#[derive(Debug, Default)]
pub struct Waiting {
    /// What [`load_message`] is to be called for, a few at a time: nothing
    /// else has to wait until it is done.
    pub backlog: Backlog,
    /// What was mended.
    pub log: Vec<String>,
}

/// Lists every preprocessed message. Call it before qmail-todo starts:
/// messages still in `todo` come through it, and so does everything new.
///
/// A message's text is removed last. What is there without one belongs to a
/// message that ended before a crash, which kept some removals and not
/// others; it is removed, so that nothing is delivered, or bounced, for ever.
///
/// The error says which directories could not be listed.
pub fn backlog<F: FileSystem>(files: &F, layout: &Layout) -> Result<Waiting, Vec<String>> {
    let (mut info, mut log, mut unlisted) = (Vec::new(), Vec::new(), Vec::new());
    let todo = list_all(files, &layout.directories("todo")).map_err(|unlisted| vec![unlisted])?;
    let split = ["info", "local", "remote", "mess"].map(|name| layout.directories(name));
    for at in 0..split[0].len() {
        match Numbered::list(files, split.each_ref().map(|paths| &*paths[at])) {
            Ok(numbered) => {
                for (id, error) in numbered.remove_ended(files, layout, &todo, &mut log) {
                    log.push(format!("unable to remove what is left of {id}: {error}"));
                }
                let with_text = |id: &u64| numbered.texts.contains(id);
                info.extend(numbered.info.iter().copied().filter(with_text));
            }
            Err(text) => unlisted.push(text),
        }
    }
    log.extend(mend_failures(files, layout).err());
    if !unlisted.is_empty() {
        return Err(unlisted);
    }
    let backlog = Backlog::new(info, todo.into_iter().collect());
    Ok(Waiting { backlog, log })
}

/// Gives a message of the backlog to the scheduler: due when the mtimes of its
/// files say.
pub fn load_message<F: FileSystem>(
    files: &F,
    layout: &Layout,
    backlog: &Backlog,
    scheduler: &mut Scheduler,
    id: u64,
    now: i64,
) -> io::Result<()> {
    let mut found = Vec::new();
    for channel in Channel::ALL {
        let due = mtime(files, &recipients(layout, channel, id))?;
        found.extend(due.map(|due| (channel, due)));
    }
    if found.is_empty() {
        scheduler.finish(id, now);
    }
    for (channel, due) in found {
        scheduler.add(channel, id, backlog.due(channel, due));
    }
    Ok(())
}

/// Gives every preprocessed message to the scheduler at once. Returns what is
/// to be logged.
pub fn load<F: FileSystem>(
    files: &F,
    layout: &Layout,
    scheduler: &mut Scheduler,
    now: i64,
) -> Vec<String> {
    let Waiting {
        mut backlog,
        mut log,
    } = match backlog(files, layout) {
        Ok(found) => found,
        Err(unlisted) => return unlisted,
    };
    while let Some(id) = backlog.take() {
        if let Err(error) = load_message(files, layout, &backlog, scheduler, id, now) {
            log.push(format!(
                "unable to stat files of {id}; will try again later: {error}"
            ));
            scheduler.finish_later(id, now);
        }
    }
    log
}

impl Numbered {
    /// The texts come last: by then whatever else there is has one.
    fn list<F: FileSystem>(files: &F, paths: [&Path; 4]) -> Result<Self, String> {
        let [info, local, remote, mess] = paths;
        let set = |path| list(files, path).map(HashSet::from_iter);
        Ok(Self {
            info: list(files, info)?,
            channels: [set(local)?, set(remote)?],
            texts: set(mess)?,
        })
    }

    /// Removes what has no text, `info` last; what could not be removed.
    fn remove_ended<F: FileSystem>(
        &self,
        files: &F,
        layout: &Layout,
        todo: &HashSet<u64>,
        problems: &mut Vec<String>,
    ) -> Vec<(u64, io::Error)> {
        let all = self.channels.iter().flatten().chain(&self.info);
        let ended: HashSet<u64> = all
            .copied()
            .filter(|id| !self.texts.contains(id) && !todo.contains(id))
            .collect();
        let mut failed = Vec::new();
        for id in ended {
            problems.push(format!(
                "message {id} ended before a crash; removing what is left of it"
            ));
            let paths = [layout.local(id), layout.remote(id), layout.info(id)];
            let removed = paths.iter().try_for_each(|path| remove(files, path));
            failed.extend(removed.err().map(|error| (id, error)));
        }
        failed
    }
}

/// Failures without a text have been told. Of others a crash may have left
/// the last one half written; its recipient was not marked, and fails again.
fn mend_failures<F: FileSystem>(files: &F, layout: &Layout) -> Result<(), String> {
    for id in list_all(files, &layout.directories("bounce"))? {
        let mended = mtime(files, &layout.mess(id)).and_then(|text| match text {
            Some(_) => cut_failures(files, &layout.bounce(id)),
            None => remove(files, &layout.bounce(id)),
        });
        mended.map_err(|error| format!("unable to mend bounce/{id}: {error}"))?;
    }
    Ok(())
}

fn cut_failures<F: FileSystem>(files: &F, path: &Path) -> io::Result<()> {
    let mut noted = Vec::new();
    files.open(path)?.read_to_end(&mut noted)?;
    match whole_failures(&noted) {
        0 => remove(files, path),
        whole if whole < noted.len() => {
            let file = files.append(path)?;
            files.truncate(&file, whole as u64)?;
            files.sync_file(&file)
        }
        _ => Ok(()),
    }
}

fn list_all<F: FileSystem>(
    files: &F,
    directories: &[std::path::PathBuf],
) -> Result<HashSet<u64>, String> {
    let mut all = HashSet::new();
    for directory in directories {
        all.extend(list(files, directory)?);
    }
    Ok(all)
}

fn list<F: FileSystem>(files: &F, directory: &Path) -> Result<Vec<u64>, String> {
    let listed = files.list(directory);
    listed.map_err(|error| format!("unable to opendir {}: {error}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, create};
    use schedule::Step;

    fn queue() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path(), None).unwrap();
        let layout = Layout::detect(directory.path()).unwrap();
        (directory, layout)
    }

    #[test]
    fn a_restart_finds_what_waits_and_when_it_is_due() {
        let (_directory, layout) = queue();
        for id in [1, 2, 3] {
            std::fs::write(layout.mess(id), b"text").unwrap();
            std::fs::write(layout.info(id), b"Fann@x\0").unwrap();
        }
        std::fs::write(layout.remote(1), b"Tb@y\0").unwrap();
        std::fs::write(layout.todo(3), b"").unwrap();
        let remote = std::fs::File::open(layout.remote(1)).unwrap();
        os::file::set_mtime(&remote, 5_000).unwrap();
        let mut scheduler = Scheduler::new([1, 1]);
        let problems = load(&Disk::new(), &layout, &mut scheduler, 4_000);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            scheduler.waiting(Channel::Remote).collect::<Vec<_>>(),
            [(1, 5_000)]
        );
        assert_eq!(scheduler.step(4_000), Some(Step::Finish { id: 2 }));
        assert_eq!(scheduler.step(4_000), None);
    }

    #[test]
    fn what_a_crash_left_without_a_text_is_removed() {
        let (_directory, layout) = queue();
        for (id, paths) in [
            (1, vec![layout.info(1), layout.local(1), layout.bounce(1)]),
            (2, vec![layout.remote(2)]),
            (3, vec![layout.bounce(3)]),
        ] {
            for path in paths {
                std::fs::write(&path, b"Fx\0").unwrap();
            }
            assert!(!layout.mess(id).exists());
        }
        // This one waits for qmail-todo, which will write its files again.
        std::fs::write(layout.todo(4), b"Fx\0").unwrap();
        std::fs::write(layout.info(4), b"Fx\0").unwrap();
        // The last failure of this one was not written to its end.
        std::fs::write(layout.mess(5), b"text").unwrap();
        std::fs::write(layout.bounce(5), b"<a>:\nno\n\n<b>:\n").unwrap();
        let mut scheduler = Scheduler::new([1, 1]);
        let problems = load(&Disk::new(), &layout, &mut scheduler, 0);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(scheduler.step(0), None);
        for path in [
            layout.info(1),
            layout.local(1),
            layout.bounce(1),
            layout.remote(2),
            layout.bounce(3),
        ] {
            assert!(!path.exists(), "{}", path.display());
        }
        assert!(layout.info(4).exists());
        assert_eq!(std::fs::read(layout.bounce(5)).unwrap(), b"<a>:\nno\n\n");
    }
}
