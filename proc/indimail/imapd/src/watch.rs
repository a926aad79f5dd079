//! Tells idling sessions when their folder changes: one inotify instance for
//! all, since a user may have few of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::Notify;

/// Room for the events of one read.
const BUFFER_BYTES: usize = 16 * 1024;

/// All watches of the process.
pub struct Watcher {
    state: Mutex<State>,
}

struct State {
    watches: Watches,
    waiting: HashMap<WatchDescriptor, Vec<Arc<Notify>>>,
}

/// A watch on some directories; ends when it is dropped.
pub struct Watch {
    watcher: Option<Arc<Watcher>>,
    descriptors: Vec<WatchDescriptor>,
    notify: Arc<Notify>,
}

impl Watcher {
    /// Starts watching; `None` when this system cannot.
    pub fn start() -> Option<Arc<Self>> {
        let inotify = Inotify::init().ok()?;
        let watches = inotify.watches();
        let watcher = Arc::new(Self {
            state: Mutex::new(State {
                watches,
                waiting: HashMap::new(),
            }),
        });
        let reader = watcher.clone();
        let thread = std::thread::Builder::new().name("inotify".into());
        thread.spawn(move || reader.run(inotify)).ok()?;
        Some(watcher)
    }

    /// Watches directories. One that cannot be watched is left out; sessions
    /// look now and then all the same.
    pub fn watch(self: &Arc<Self>, paths: &[PathBuf]) -> Watch {
        let mask =
            WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
        let notify = Arc::new(Notify::new());
        let mut descriptors = Vec::new();
        let mut state = self.state();
        for path in paths {
            if let Ok(descriptor) = state.watches.add(path, mask) {
                let waiting = state.waiting.entry(descriptor.clone()).or_default();
                waiting.push(notify.clone());
                descriptors.push(descriptor);
            }
        }
        drop(state);
        Watch {
            watcher: Some(self.clone()),
            descriptors,
            notify,
        }
    }

    /// Reads events, on a thread of its own, for as long as the process lives.
    fn run(&self, mut inotify: Inotify) {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let seen = match inotify.read_events_blocking(&mut buffer) {
                Ok(seen) => seen,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return run::warn("imapd", &format!("cannot watch folders: {error}"));
                }
            };
            let state = self.state();
            for event in seen {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    // Events were lost: everybody looks.
                    let all = state.waiting.values().flatten();
                    all.for_each(|notify| notify.notify_one());
                } else if let Some(waiting) = state.waiting.get(&event.wd) {
                    waiting.iter().for_each(|notify| notify.notify_one());
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// A watch that sees nothing, where there is no inotify.
    pub fn nothing() -> Self {
        Self {
            watcher: None,
            descriptors: Vec::new(),
            notify: Arc::new(Notify::new()),
        }
    }

    /// Waits until something happens in one of the directories.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watcher) = &self.watcher else {
            return;
        };
        let mut state = watcher.state();
        for descriptor in self.descriptors.drain(..) {
            let Some(waiting) = state.waiting.get_mut(&descriptor) else {
                continue;
            };
            waiting.retain(|other| !Arc::ptr_eq(other, &self.notify));
            if waiting.is_empty() {
                state.waiting.remove(&descriptor);
                // Fails when the directory is gone, and the watch with it.
                let _ = state.watches.remove(descriptor);
            }
        }
    }
}
