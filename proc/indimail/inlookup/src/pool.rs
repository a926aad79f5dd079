//! Threads that compute password hashes.
//!
//! A hash takes a tenth of a second of a processor on purpose. Only as many
//! are computed at once as there are processors, and no question about a
//! recipient waits behind one.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use directory::password::{self, Verdict};
use zeroize::Zeroizing;

use crate::verified::Verified;
use crate::world::{Trouble, locked};

/// Passwords that wait; one more is told to come back later.
const WAITING_MAX: usize = 64;

/// A password, what it is checked against (`None`: nobody), and who waits.
struct Job {
    password: Zeroizing<Vec<u8>>,
    stored: Option<Zeroizing<String>>,
    answer: SyncSender<Verdict>,
}

/// Threads that compute password hashes.
pub struct Pool {
    jobs: SyncSender<Job>,
    verified: Verified,
}

impl Pool {
    /// Starts a thread for each processor.
    pub fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("hash".to_owned())
                .spawn(move || work(&queue))?;
        }
        Ok(Self {
            jobs,
            verified: Verified::new(),
        })
    }

    /// Checks a password; `None` for a user nobody knows costs the same.
    pub fn check(&self, password: &[u8], stored: Option<&str>) -> Result<Verdict, Trouble> {
        if let Some(stored) = stored
            && self.verified.knows(password, stored, Instant::now())
        {
            return Ok(Verdict::Match);
        }
        let verdict = self.compute(password, stored)?;
        if let Some(stored) = stored
            && verdict == Verdict::Match
        {
            self.verified.remember(password, stored, Instant::now());
        }
        Ok(verdict)
    }

    /// Forgets which passwords were right.
    pub fn forget(&self) {
        self.verified.forget();
    }

    fn compute(&self, password: &[u8], stored: Option<&str>) -> Result<Verdict, Trouble> {
        let (answer, verdict) = mpsc::sync_channel(1);
        let job = Job {
            password: Zeroizing::new(password.to_vec()),
            stored: stored.map(|text| Zeroizing::new(text.to_owned())),
            answer,
        };
        self.jobs.try_send(job).map_err(|_| Trouble::Busy)?;
        verdict.recv().map_err(|_| Trouble::Busy)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(job) = locked(queue).recv() else {
            return;
        };
        let verdict = match &job.stored {
            Some(stored) => password::check(&job.password, stored),
            None => {
                password::check_nobody(&job.password);
                Verdict::Mismatch
            }
        };
        let _ = job.answer.send(verdict);
    }
}
