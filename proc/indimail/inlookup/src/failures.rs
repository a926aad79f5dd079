//! Who guesses passwords: too many wrong ones from one address for one user
//! are not even checked any more for a while.
//!
//! Pairs are counted, not users: nobody can lock somebody else out from
//! another address.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::world::locked;

/// Wrong passwords before checks stop.
const FAILURES_MAX: u32 = 20;
/// How long a series lasts.
const SERIES: Duration = Duration::from_secs(60);
/// Series remembered at once.
const SERIES_MAX: usize = 10_000;

/// Series of wrong passwords.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<(String, String), (Instant, u32)>>);

impl Failures {
    /// Says whether this pair has used up its tries.
    pub fn exhausted(&self, user: &str, ip: &str) -> bool {
        let series = locked(&self.0);
        series
            .get(&(user.to_owned(), ip.to_owned()))
            .is_some_and(|(since, count)| since.elapsed() < SERIES && FAILURES_MAX <= *count)
    }

    /// Counts a wrong password.
    pub fn add(&self, user: &str, ip: &str) {
        let mut series = locked(&self.0);
        if SERIES_MAX <= series.len() {
            series.retain(|_, (since, _)| since.elapsed() < SERIES);
            if SERIES_MAX <= series.len() {
                series.clear();
            }
        }
        let (since, count) = series
            .entry((user.to_owned(), ip.to_owned()))
            .or_insert((Instant::now(), 0));
        if SERIES <= since.elapsed() {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
    }

    /// Forgets a series: the right password came.
    pub fn clear(&self, user: &str, ip: &str) {
        locked(&self.0).remove(&(user.to_owned(), ip.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pair_that_failed_is_stopped() {
        let failures = Failures::default();
        for _ in 0..FAILURES_MAX {
            assert!(!failures.exhausted("joe@a.org", "192.0.2.1"));
            failures.add("joe@a.org", "192.0.2.1");
        }
        assert!(failures.exhausted("joe@a.org", "192.0.2.1"));
        assert!(!failures.exhausted("joe@a.org", "192.0.2.2"));
        assert!(!failures.exhausted("ann@a.org", "192.0.2.1"));
        failures.clear("joe@a.org", "192.0.2.1");
        assert!(!failures.exhausted("joe@a.org", "192.0.2.1"));
    }
}
