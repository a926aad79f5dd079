//! One qmail-start a queue, restarted when it dies.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use os::child::{Setup, prepare};
use os::signal::Signal;
use queue::Queues;

use crate::PROGRAM;

/// Pause before a restart; it doubles while children die young.
const PAUSE_SECONDS: i64 = 1;
const PAUSE_SECONDS_MAX: i64 = 64;
/// A child that lived this long did not die of its configuration.
const YOUNG_SECONDS: i64 = 60;

struct Child {
    queue: PathBuf,
    pid: Option<u32>,
    started: i64,
    pause: i64,
    next_start: i64,
}

/// All of them.
pub struct Children {
    program: PathBuf,
    arguments: Vec<OsString>,
    children: Vec<Child>,
}

impl Children {
    /// Nothing is started yet.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, queues: &Queues) -> Self {
        let children = queues.directories().iter().map(|queue| Child {
            queue: queue.clone(),
            pid: None,
            started: 0,
            pause: PAUSE_SECONDS,
            next_start: 0,
        });
        Self {
            program,
            arguments,
            children: children.collect(),
        }
    }

    /// Starts those whose time has come.
    pub fn start_due(&mut self, now: i64) {
        for child in &mut self.children {
            if child.pid.is_some() || now < child.next_start {
                continue;
            }
            if is_worked_on(&child.queue) {
                let queue = child.queue.display();
                let text =
                    format!("queue {queue}: another qmail-send works on it; will look again");
                run::warn(PROGRAM, &text);
                child.back_off(now);
                continue;
            }
            let mut command = Command::new(&self.program);
            command
                .args(&self.arguments)
                .env("QUEUEDIR", &child.queue)
                .env("QIDENT", number(&child.queue));
            // A qmail-send whose qmail-daemon was killed holds the queue's
            // lock, and the next one could not start.
            let setup = Setup {
                signal_when_parent_ends: Some(Signal::SIGTERM),
                ..Setup::default()
            };
            prepare(&mut command, setup);
            let queue = child.queue.display();
            match command.spawn() {
                Ok(process) => {
                    println!("{PROGRAM}: pid {}, queue {queue} started", process.id());
                    child.pid = Some(process.id());
                    child.started = now;
                }
                Err(error) => {
                    let program = self.program.display();
                    let text = format!("cannot start {program} for queue {queue}: {error}");
                    run::warn(PROGRAM, &text);
                    child.back_off(now);
                }
            }
        }
    }

    /// When the next one is to be started.
    pub fn next_start(&self) -> Option<i64> {
        let waiting = self.children.iter().filter(|child| child.pid.is_none());
        waiting.map(|child| child.next_start).min()
    }

    /// Says whether any child runs.
    pub fn any_running(&self) -> bool {
        self.children.iter().any(|child| child.pid.is_some())
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: Signal) {
        for pid in self.children.iter().filter_map(|child| child.pid) {
            // One that is gone just now will be collected.
            let _ = os::signal::send(pid, signal);
        }
    }

    /// Notices the dead.
    pub fn collect(&mut self, now: i64) {
        while let Some((pid, ended)) = os::child::collect() {
            let child = self
                .children
                .iter_mut()
                .find(|child| child.pid == Some(pid));
            let Some(child) = child else { continue };
            println!(
                "{PROGRAM}: pid {pid}, queue {} ended: {ended:?}",
                child.queue.display()
            );
            child.pid = None;
            if YOUNG_SECONDS < now - child.started {
                child.pause = PAUSE_SECONDS;
            }
            child.back_off(now);
        }
    }
}

/// Says whether a qmail-send has the queue's lock, as one does that outlives
/// a killed qmail-daemon until its deliveries have ended. Trouble is for
/// qmail-send to name.
fn is_worked_on(queue: &Path) -> bool {
    let mutex = File::options()
        .append(true)
        .open(queue.join("lock/sendmutex"));
    mutex.is_ok_and(|mutex| matches!(os::file::try_lock(mutex), Ok(None)))
}

/// The number at the end of a queue's name.
pub fn number(queue: &Path) -> String {
    let name = queue.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.to_owned()
}

impl Child {
    fn back_off(&mut self, now: i64) {
        self.next_start = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_SECONDS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_dies_young_is_started_later_and_later() {
        let mut child = Child {
            queue: PathBuf::new(),
            pid: None,
            started: 0,
            pause: PAUSE_SECONDS,
            next_start: 0,
        };
        let mut starts = Vec::new();
        for _ in 0..9 {
            child.back_off(0);
            starts.push(child.next_start);
        }
        assert_eq!(starts, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn a_queue_that_another_works_on_is_left_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let queue = directory.path().join("queue1");
        std::fs::create_dir_all(queue.join("lock")).unwrap();
        assert!(!is_worked_on(&queue));
        let mutex = File::create(queue.join("lock/sendmutex")).unwrap();
        let lock = os::file::try_lock(mutex).unwrap().unwrap();
        let mut children = Children::new("/bin/true".into(), Vec::new(), &Queues::one(&queue));
        children.start_due(100);
        assert!(!children.any_running());
        assert_eq!(children.next_start(), Some(101));
        drop(lock);
        children.start_due(101);
        assert!(children.any_running());
    }

    #[test]
    fn a_program_that_cannot_be_started_waits() {
        let queues = Queues::one("/nowhere/queue1");
        let mut children = Children::new("/nowhere/qmail-start".into(), Vec::new(), &queues);
        children.start_due(100);
        assert!(!children.any_running());
        assert_eq!(children.next_start(), Some(101));
    }
}
