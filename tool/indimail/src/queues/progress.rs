//! How far long work has come, for somebody who watches.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is said of work that takes less, and nothing more often.
const PAUSE: Duration = Duration::from_secs(1);

/// A line on the terminal that says how much is done, and goes at the end.
/// Where nobody watches there is none.
#[derive(Debug)]
pub struct Progress {
    verb: &'static str,
    total: usize,
    done: usize,
    next: Instant,
    is_watched: bool,
    is_shown: bool,
}

impl Progress {
    /// Begins: a verb like "reading", and how many messages there are.
    pub fn new(verb: &'static str, total: usize) -> Self {
        Self {
            verb,
            total,
            done: 0,
            next: Instant::now() + PAUSE,
            is_watched: std::io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.done += 1;
        if self.is_watched && self.next <= Instant::now() {
            self.next = Instant::now() + PAUSE;
            self.is_shown = true;
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.line());
        }
    }

    fn line(&self) -> String {
        let Self {
            verb, total, done, ..
        } = self;
        let percent = (done * 100).checked_div(*total).unwrap_or(100);
        format!("{verb} {done} of {total} messages ({percent} %)")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_much_of_how_much() {
        let mut progress = Progress::new("deleting", 3);
        progress.step();
        assert_eq!(progress.line(), "deleting 1 of 3 messages (33 %)");
        assert_eq!(
            Progress::new("reading", 0).line(),
            "reading 0 of 0 messages (100 %)"
        );
    }
}
