//! What a process and everything below it uses.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(200);

/// What was used between start and finish.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time of all processes, user and system.
    pub cpu: Duration,
    /// Most memory at once: proportional set sizes, added up.
    pub peak_bytes: u64,
}

/// Watches a process tree.
pub struct Sampler {
    root: u32,
    ticks_before: u64,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    /// Starts watching a process and its descendants.
    pub fn start(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(memory_of(root));
                std::thread::sleep(SAMPLE);
            }
            peak
        });
        Self {
            root,
            ticks_before: ticks(root),
            stop,
            thread,
        }
    }

    /// Stops watching.
    pub fn finish(self) -> Usage {
        let used = ticks(self.root).saturating_sub(self.ticks_before);
        self.stop.store(true, Ordering::Relaxed);
        let peak_bytes = self.thread.join().unwrap_or(0);
        // Linux counts in hundredths of a second for user space.
        Usage {
            cpu: Duration::from_millis(used * 10),
            peak_bytes,
        }
    }
}

/// Clock ticks of the tree; a process that ended counts in the one that
/// waited for it.
fn ticks(root: u32) -> u64 {
    members(root)
        .into_iter()
        .filter_map(|pid| stat(pid).map(|(_, ticks)| ticks))
        .sum()
}

fn members(root: u32) -> BTreeSet<u32> {
    let processes: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.0)))
        .collect();
    let mut tree = BTreeSet::from([root]);
    loop {
        let before = tree.len();
        for (pid, parent) in &processes {
            if tree.contains(parent) {
                tree.insert(*pid);
            }
        }
        if tree.len() == before {
            return tree;
        }
    }
}

/// Parent, and ticks including those of children waited for.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    let ticks = (11..15).filter_map(number).sum();
    Some((u32::try_from(number(1)?).ok()?, ticks))
}

/// Memory of the tree now: proportional set sizes, added up.
pub fn memory_of(root: u32) -> u64 {
    members(root).into_iter().map(memory).sum()
}

/// Memory of the processes of the tree that have this name.
pub fn memory_by_name(root: u32, name: &str) -> u64 {
    let is_called = |pid: &u32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.trim_end() == name
    };
    let named = members(root).into_iter().filter(is_called);
    named.map(memory).sum()
}

fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
