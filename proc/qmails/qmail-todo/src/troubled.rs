//! Messages that made trouble: each is left alone for a while, longer each
//! time.

use std::collections::HashMap;

use wire::todo::PutBack;

/// How long at first, and at most.
const SECONDS: i64 = 123;
const SECONDS_MAX: i64 = 86_400;
/// How many such messages are remembered.
const MESSAGES_MAX: usize = 10_000;

/// Their numbers.
#[derive(Debug, Default)]
pub struct Troubled(HashMap<u64, Trouble>);

/// What there was with one of them.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    until: i64,
    seconds: i64,
    /// It was put back.
    pub put_back: Option<PutBack>,
}

impl Troubled {
    /// It made trouble now.
    pub fn add(&mut self, id: u64, put_back: Option<PutBack>, now: i64) {
        let before = self.0.get(&id).map_or(SECONDS / 2, |t| t.seconds);
        let seconds = (before * 2).clamp(SECONDS, SECONDS_MAX);
        if self.0.len() < MESSAGES_MAX {
            let trouble = Trouble {
                until: now + seconds,
                seconds,
                put_back,
            };
            self.0.insert(id, trouble);
        }
    }

    /// It makes none any more.
    pub fn remove(&mut self, id: u64) {
        self.0.remove(&id);
    }

    /// All are tried again now.
    pub fn hurry(&mut self, now: i64) {
        self.0.values_mut().for_each(|trouble| trouble.until = now);
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: i64) {
        self.0.retain(|_, trouble| now < trouble.until);
    }

    /// What there was with this one.
    pub fn get(&self, id: u64) -> Option<Trouble> {
        self.0.get(&id).copied()
    }

    /// Says whether it is left alone.
    pub fn is_left(&self, id: u64, now: i64) -> bool {
        self.get(id).is_some_and(|trouble| now < trouble.until)
    }

    /// When the first is tried again.
    pub fn next_try(&self) -> Option<i64> {
        self.0.values().map(|trouble| trouble.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_it_is_left_alone_twice_as_long_up_to_a_day() {
        let (mut troubled, mut now) = (Troubled::default(), 0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            troubled.add(7, None, now);
            let until = troubled.next_try().unwrap();
            assert!(troubled.is_left(7, until - 1) && !troubled.is_left(7, until));
            waits.push(until - now);
            now = until;
        }
        assert_eq!(waits[..4], [123, 246, 492, 984]);
        assert_eq!(waits[10..], [86_400, 86_400]);
    }

    #[test]
    fn those_whose_time_is_over_are_forgotten_and_hurried_ones_are() {
        let mut troubled = Troubled::default();
        troubled.add(7, None, 0);
        troubled.expire(122);
        assert!(troubled.get(7).is_some());
        troubled.hurry(50);
        assert_eq!(troubled.next_try(), Some(50));
        troubled.expire(50);
        assert!(troubled.get(7).is_none());
    }
}
