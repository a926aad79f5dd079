//! Series of failures by name, at most so many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Names remembered at once.
const NAMES_MAX: usize = 50_000;
/// How often the pause is doubled at most.
const DOUBLED_MAX: u32 = 6;

/// Counts failures of names, and stops those that have too many.
#[derive(Debug, Default)]
pub struct Table(HashMap<String, Series>);

#[derive(Debug)]
struct Series {
    since: Instant,
    /// How long failures count.
    lasts: Duration,
    count: u32,
    /// Nothing is checked before.
    until: Option<Instant>,
    /// How often it was stopped.
    stops: u32,
}

impl Series {
    fn is_stopped(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Says whether nothing of it matters any more. A stop is remembered as
    /// long again as it took, so that the next one is longer.
    fn is_over(&self, now: Instant) -> bool {
        let begun = self.until.unwrap_or(self.since);
        begun + self.lasts <= now
    }
}

impl Table {
    /// Says whether a name has too many failures now.
    pub fn is_stopped(&self, name: &str, now: Instant) -> bool {
        self.0
            .get(name)
            .is_some_and(|series| series.is_stopped(now))
    }

    /// Counts a failure; says whether it is the one that stops the name. A
    /// limit of 0 never does.
    pub fn add(
        &mut self,
        name: &str,
        max: u32,
        lasts: Duration,
        pause: Duration,
        now: Instant,
    ) -> bool {
        if max == 0 {
            return false;
        }
        self.make_room(now);
        let new = || Series {
            since: now,
            lasts,
            count: 0,
            until: None,
            stops: 0,
        };
        let series = self.0.entry(name.to_owned()).or_insert_with(new);
        if series.is_over(now) {
            *series = new();
        } else if series.until.is_some_and(|until| until <= now) || series.since + lasts <= now {
            (series.since, series.count, series.until) = (now, 0, None);
        }
        series.count = series.count.saturating_add(1);
        if series.count < max || series.is_stopped(now) {
            return false;
        }
        series.until = Some(now + pause * (1 << series.stops.min(DOUBLED_MAX)));
        series.stops += 1;
        true
    }

    /// Forgets a name; says whether anything was known.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// Keeps the names that this holds for.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keeps(name));
    }

    /// Who is stopped: the name, its failures, for how long.
    pub fn stopped(&self, now: Instant) -> impl Iterator<Item = (&str, u32, Duration)> {
        self.0.iter().filter_map(move |(name, series)| {
            let left = series.until?.checked_duration_since(now)?;
            (!left.is_zero()).then_some((name.as_str(), series.count, left))
        })
    }

    /// Who floods us with names does not make us forget who is stopped, unless
    /// there are too many of those, too.
    fn make_room(&mut self, now: Instant) {
        if self.0.len() < NAMES_MAX {
            return;
        }
        self.0.retain(|_, series| !series.is_over(now));
        if NAMES_MAX <= self.0.len() {
            self.0.retain(|_, series| 1 < series.count);
        }
        if NAMES_MAX <= self.0.len() {
            self.0.retain(|_, series| series.is_stopped(now));
        }
        if NAMES_MAX <= self.0.len() {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_is_bounded_and_hides_nobody() {
        let (mut table, now) = (Table::default(), Instant::now());
        let hour = Duration::from_secs(3600);
        for _ in 0..5 {
            table.add("joe", 5, hour, hour, now);
        }
        for n in 0..NAMES_MAX * 2 {
            table.add(&n.to_string(), 5, hour, hour, now);
        }
        assert!(table.0.len() <= NAMES_MAX);
        assert!(table.is_stopped("joe", now));
        assert_eq!(table.stopped(now).count(), 1);
    }
}
