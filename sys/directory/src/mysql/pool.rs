//! Connections to one server, kept for the next question.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql::{Conn, DriverError};

use super::Server;

/// Connections of one process at once.
const CONNECTIONS_MAX: usize = 16;
/// How long a question waits for one.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// A connection that was idle for this long is tried before it is used.
const TRUSTED: Duration = Duration::from_secs(5);
/// A server that did not answer is left alone for this long, doubled with
/// each failure: nobody else has to wait for it meanwhile.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// But never longer, so that it is used again soon after it is back.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The connections of a process to one server.
#[derive(Debug)]
pub struct Pool {
    server: Server,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: VecDeque<(Conn, Instant)>,
    lent: usize,
    failures: u32,
    retry_at: Option<Instant>,
}

impl Pool {
    /// No connection yet.
    pub fn to(server: Server) -> Self {
        Self {
            server,
            state: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// A connection, one that is open if there is any. Connecting holds up
    /// nobody else.
    pub fn take(&self) -> mysql::Result<Lent<'_>> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut state = self.lock();
        loop {
            if let Some((connection, since)) = state.idle.pop_back() {
                state.lent += 1;
                drop(state);
                let mut lent = Lent::of(self, connection);
                if since.elapsed() < TRUSTED || lent.ping().is_ok() {
                    return Ok(lent);
                }
                lent.forget();
                state = self.lock();
                continue;
            }
            if state.lent < CONNECTIONS_MAX {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(DriverError::Timeout.into());
            }
            state = self
                .returned
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(DriverError::CouldNotConnect(None).into());
        }
        state.lent += 1;
        drop(state);
        let made = Conn::new(self.server.options(Some(&self.server.database)));
        let mut state = self.lock();
        match made {
            Ok(connection) => {
                state.failures = 0;
                state.retry_at = None;
                drop(state);
                Ok(Lent::of(self, connection))
            }
            Err(error) => {
                state.lent -= 1;
                // A server that says no is there: only silence is spared.
                if !matches!(error, mysql::Error::MySqlError(_)) {
                    let pause = PAUSE_MIN * 2u32.saturating_pow(state.failures.min(16));
                    state.failures = state.failures.saturating_add(1);
                    state.retry_at = Some(Instant::now() + pause.min(PAUSE_MAX));
                }
                drop(state);
                self.returned.notify_one();
                Err(error)
            }
        }
    }

    /// Closes what is not in use: when one connection broke, the others
    /// mostly did too.
    pub fn forget_idle(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back when it is dropped.
pub struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Conn>,
}

impl<'a> Lent<'a> {
    fn of(pool: &'a Pool, connection: Conn) -> Self {
        Self {
            pool,
            connection: Some(connection),
        }
    }

    /// Closes it instead.
    pub fn forget(mut self) {
        self.connection = None;
    }
}

impl Deref for Lent<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.connection.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        self.connection.as_mut().expect("there until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let mut state = self.pool.lock();
        state.lent -= 1;
        // Not after a panic: it may be in the middle of an answer.
        if let Some(connection) = connection
            && !std::thread::panicking()
        {
            state.idle.push_back((connection, Instant::now()));
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
