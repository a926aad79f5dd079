//! The threads that deliver.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use delivery::local::{self, Mode};
use delivery::{DirectoryUsers, Outcome, Recent, Site};
use wire::deliver::{Report, Request};

use crate::NAME;
use crate::connection::Reports;

/// Most deliveries that wait for a thread; then connections wait.
const WAITING_MAX: usize = 1024;

/// One delivery and where its report goes.
pub(crate) struct Task {
    pub(crate) request: Request,
    pub(crate) message: File,
    pub(crate) reports: Arc<Reports>,
}

/// Threads made as they are needed, up to a limit; each keeps a connection
/// to the database of users.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads_max: usize,
}

struct Shared {
    site: Site,
    recent: Arc<Recent>,
    state: Mutex<State>,
    /// There is a task; one thread need know.
    task: Condvar,
    /// There is room for another task.
    room: Condvar,
    /// A thread has nothing to do.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    threads: usize,
    idle: usize,
    /// Somebody waits until all is done.
    is_finishing: bool,
}

impl Pool {
    pub(crate) fn new(site: Site, threads_max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                site,
                recent: Arc::default(),
                state: Mutex::default(),
                task: Condvar::new(),
                room: Condvar::new(),
                ended: Condvar::new(),
            }),
            threads_max,
        }
    }

    /// Adds a task, when there is room.
    pub(crate) fn add(&self, task: Task) {
        let mut state = self.shared.lock();
        while WAITING_MAX <= state.waiting.len() {
            state = wait(&self.shared.room, state);
        }
        state.waiting.push_back(task);
        if state.idle < state.waiting.len() && state.threads < self.threads_max {
            let shared = Arc::clone(&self.shared);
            match std::thread::Builder::new().spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) => run::warn(NAME, &format!("cannot start a thread: {error}")),
            }
        }
        let is_wanted = 0 < state.idle;
        drop(state);
        // Nobody who is busy sleeps: they look before they do.
        if is_wanted {
            self.shared.task.notify_one();
        }
    }

    /// Waits until all tasks are done, but not for longer than this.
    pub(crate) fn finish(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let mut state = self.shared.lock();
        state.is_finishing = true;
        while !state.waiting.is_empty() || state.idle < state.threads {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let cut = state.waiting.len() + state.threads - state.idle;
                run::warn(NAME, &format!("{cut} deliveries were cut off"));
                return;
            }
            let result = self.shared.ended.wait_timeout(state, left);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn work(&self) {
        let users = DirectoryUsers::new(
            &self.site.home,
            &self.site.settings,
            Arc::clone(&self.recent),
        );
        loop {
            let task = self.next();
            let Task {
                request,
                message,
                reports,
            } = task;
            // A mistake of ours in one delivery must not take the thread with
            // it, and never looks like a success.
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                local::deliver(&self.site, &users, &request, &message, Mode::Deliver)
            }))
            .unwrap_or_else(|_| Outcome::temporary("vdeliverd made a mistake. (#4.3.0)"));
            reports.send(&Report {
                delivery: request.delivery,
                code: outcome.code,
                output: outcome.output,
            });
        }
    }

    fn next(&self) -> Task {
        let mut state = self.lock();
        state.idle += 1;
        if state.is_finishing {
            self.ended.notify_all();
        }
        loop {
            let was_full = WAITING_MAX <= state.waiting.len();
            if let Some(task) = state.waiting.pop_front() {
                state.idle -= 1;
                if was_full {
                    self.room.notify_all();
                }
                return task;
            }
            state = wait(&self.task, state);
        }
    }
}

fn wait<'a>(what: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    what.wait(state).unwrap_or_else(PoisonError::into_inner)
}
