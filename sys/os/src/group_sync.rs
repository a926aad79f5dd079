//! Making files of many threads durable together.
//!
//! A sync costs a commit of the file system's journal, whether it is for one
//! file or for a hundred. Threads that need one at the same time share it:
//! whoever comes while a sync runs waits for the next one, which one of them
//! does for all. A thread that is alone syncs its own files only, so that a
//! quiet system does not pay for what others left unwritten.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Failed syncs that are remembered for threads that have not asked yet.
const FAILURES_MAX: usize = 64;

/// Shares syncs of one file system between threads.
#[derive(Debug)]
pub struct GroupSync {
    /// Opened once: the kernel tells each open file of an error once.
    directory: File,
    /// Makes everything on the file system durable; tests let it fail.
    together: fn(&File) -> io::Result<()>,
    device: u64,
    state: Mutex<State>,
    /// The thread that begins the next shared sync sleeps here.
    turn: Condvar,
    /// Threads that wait for the end of a sync that another one does: those
    /// of even and of odd numbers apart, so that nobody wakes for nothing.
    ended: [Condvar; 2],
}

#[derive(Debug, Default)]
struct State {
    /// A sync is running.
    running: bool,
    /// Syncs begun so far; the number of the newest.
    begun: u64,
    /// Number of the newest sync that ended.
    ended: u64,
    /// Number of the newest sync of everything that ended well.
    of_everything: u64,
    /// Threads that wait for a sync that has not begun.
    waiting: usize,
    /// One of them will begin it.
    has_leader: bool,
    /// Threads that sleep until the sync ends that is running, or the next.
    asleep: [usize; 2],
    /// The error numbers of shared syncs that failed.
    failures: BTreeMap<u64, i32>,
}

impl GroupSync {
    /// Shares syncs of the file system this directory is on.
    pub fn on(directory: &Path) -> io::Result<Self> {
        let directory = File::open(directory)?;
        Ok(Self {
            device: directory.metadata()?.dev(),
            directory,
            together: crate::file::sync_file_system,
            state: Mutex::default(),
            turn: Condvar::new(),
            ended: Default::default(),
        })
    }

    /// The file system, by the number of its device.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The number of the next sync to begin; numbers rise.
    pub fn next(&self) -> u64 {
        self.state().begun + 1
    }

    /// The number of the newest shared sync that ended well: what was
    /// written, created or renamed before it began is durable. 0 at first.
    pub fn last_of_everything(&self) -> u64 {
        self.state().of_everything
    }

    /// Makes files durable, and everything else that was written before the
    /// call when others want something durable at the same time. `alone` does
    /// it for the caller's own files, when nobody else is about. An error
    /// means that nobody knows what is on the disk: do not try again, take
    /// back what was to be made durable.
    pub fn sync(&self, files: &[&File], alone: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        {
            let mut state = self.state();
            if !state.running && state.waiting == 0 {
                let number = begin(&mut state);
                drop(state);
                let result = unwound(alone);
                self.end(self.state(), number);
                return result;
            }
        }
        // Content that is on its way to the disk before the shared sync does
        // not make everybody wait for it.
        files
            .iter()
            .for_each(|file| crate::file::start_writeback(file));
        self.sync_everything()?;
        // What could not be written earlier is told of each file only.
        files
            .iter()
            .try_for_each(|file| crate::file::check_written(file))
    }

    /// Makes everything durable that was written before the call; several
    /// calls at the same time share it.
    pub fn sync_everything(&self) -> io::Result<()> {
        let mut state = self.state();
        // The sync that runs may have begun before our last write.
        let wanted = state.begun + 1;
        state.waiting += 1;
        if state.has_leader {
            return self.follow(state, wanted);
        }
        state.has_leader = true;
        while state.running {
            state = self
                .turn
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.has_leader = false;
        let number = begin(&mut state);
        drop(state);
        let result = unwound(|| (self.together)(&self.directory));
        state = self.state();
        match &result {
            Ok(()) => state.of_everything = number,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(nix::libc::EIO);
                state.failures.insert(number, code);
                if FAILURES_MAX < state.failures.len() {
                    state.failures.pop_first();
                }
            }
        }
        self.end(state, number);
        result
    }

    /// Waits until another thread has done the wanted sync.
    fn follow(&self, mut state: MutexGuard<'_, State>, wanted: u64) -> io::Result<()> {
        let side = (wanted % 2) as usize;
        state.asleep[side] += 1;
        while state.ended < wanted {
            state = self.ended[side]
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep[side] -= 1;
        match state.failures.get(&wanted) {
            Some(code) => Err(io::Error::from_raw_os_error(*code)),
            None => Ok(()),
        }
    }

    fn end(&self, mut state: MutexGuard<'_, State>, number: u64) {
        state.running = false;
        state.ended = number;
        let side = (number % 2) as usize;
        let (has_followers, has_leader) = (0 < state.asleep[side], state.has_leader);
        // Nobody wakes to find the state locked.
        drop(state);
        if has_leader {
            self.turn.notify_one();
        }
        if has_followers {
            self.ended[side].notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The numbers stay true even when a thread panicked between them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic is an error like any other: the sync ends, nobody waits for ever.
fn unwound(sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    std::panic::catch_unwind(AssertUnwindSafe(sync))
        .unwrap_or_else(|_| Err(io::Error::other("a sync was cut off by a mistake of ours")))
}

fn begin(state: &mut State) -> u64 {
    state.running = true;
    state.waiting = 0;
    state.begun += 1;
    state.begun
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: usize = 16;

    /// Lets many threads come while one syncs alone; what each was told.
    fn crowd(group: &GroupSync) -> Vec<io::Result<()>> {
        let (runs, waits) = std::sync::mpsc::channel();
        let shared = || panic!("nobody else is alone");
        std::thread::scope(|scope| {
            let first = scope.spawn(move || {
                group.sync(&[], || {
                    runs.send(()).unwrap();
                    while group.state().waiting < THREADS {
                        std::thread::yield_now();
                    }
                    Ok(())
                })
            });
            waits.recv().unwrap();
            let others: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(move || group.sync(&[], shared)))
                .collect();
            first.join().unwrap().unwrap();
            others
                .into_iter()
                .map(|other| other.join().unwrap())
                .collect()
        })
    }

    #[test]
    fn whoever_comes_during_a_sync_shares_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let group = GroupSync::on(directory.path()).unwrap();
        assert!(crowd(&group).iter().all(Result::is_ok));
        let state = group.state();
        assert_eq!((state.begun, state.ended, state.waiting), (2, 2, 0));
        assert_eq!(state.of_everything, 2, "the first was alone");
    }

    #[test]
    fn a_shared_sync_that_fails_is_a_failure_for_everybody_who_shared_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut group = GroupSync::on(directory.path()).unwrap();
        group.together = |_| Err(io::Error::from_raw_os_error(nix::libc::EIO));
        let told = crowd(&group);
        let failed = |result: &io::Result<()>| {
            let code = result.as_ref().err().and_then(io::Error::raw_os_error);
            code == Some(nix::libc::EIO)
        };
        assert!(told.len() == THREADS && told.iter().all(failed));
        assert_eq!(group.last_of_everything(), 0);
        group.together = |_| Ok(());
        assert!(
            crowd(&group).iter().all(Result::is_ok),
            "later ones are not to blame"
        );
    }

    #[test]
    fn a_sync_that_panics_has_ended_and_failed() {
        let directory = tempfile::tempdir().unwrap();
        let group = GroupSync::on(directory.path()).unwrap();
        assert!(group.sync(&[], || panic!("for the test")).is_err());
        assert!(crowd(&group).iter().all(Result::is_ok));
    }

    #[test]
    fn a_thread_that_is_alone_syncs_its_own_files() {
        let directory = tempfile::tempdir().unwrap();
        let group = GroupSync::on(directory.path()).unwrap();
        let mut called = false;
        group
            .sync(&[], || {
                called = true;
                Ok(())
            })
            .unwrap();
        assert!(called);
        let refused = group.sync(&[], || Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(
            group.sync(&[], || Ok(())).is_ok(),
            "an error concerns its own call only"
        );
    }
}
