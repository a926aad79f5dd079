//! How far long work has come, for somebody who watches.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(500);
const BAR_WIDTH: u64 = 30;

/// A line on the terminal, gone at the end; none where nobody watches.
pub struct Progress {
    total: u64,
    started: Instant,
    next: Instant,
    is_watched: bool,
    is_shown: bool,
}

impl Progress {
    /// So much is to do; 0 when nobody knows.
    pub fn of(total: u64) -> Self {
        Self {
            total,
            started: Instant::now(),
            next: Instant::now() + PAUSE,
            is_watched: std::io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    /// So much is done, and so many users.
    pub fn at(&mut self, done: u64, users: u64) {
        if self.is_watched && self.next <= Instant::now() {
            self.next = Instant::now() + PAUSE;
            self.is_shown = true;
            let seconds = self.started.elapsed().as_secs_f64();
            let line = line(done, self.total, users, seconds);
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(done: u64, total: u64, users: u64, seconds: f64) -> String {
    let rate = (users as f64 / seconds.max(0.001)) as u64;
    let said = format!("{users} users, {rate} a second");
    if total == 0 {
        return said;
    }
    let done = done.min(total);
    let full = (done * BAR_WIDTH / total) as usize;
    let empty = BAR_WIDTH as usize - full;
    let percent = done * 100 / total;
    format!(
        "[{}{}] {percent:3} %  {said}",
        "#".repeat(full),
        "-".repeat(empty)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_work() {
        assert_eq!(
            line(50, 100, 10, 2.0),
            "[###############---------------]  50 %  10 users, 5 a second"
        );
        assert_eq!(line(5, 0, 10, 0.0), "10 users, 10000 a second");
        assert!(line(200, 100, 1, 1.0).contains("100 %"));
    }
}
