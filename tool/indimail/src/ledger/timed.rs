//! Things that are remembered for a while, by a key.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What is remembered; several things may have one key. Times never go back.
#[derive(Debug)]
pub struct Timed<K, V> {
    by_key: HashMap<K, VecDeque<(f64, V)>>,
    order: VecDeque<(f64, K)>,
}

impl<K, V> Default for Timed<K, V> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Timed<K, V> {
    /// Remembers a thing.
    pub fn push(&mut self, time: f64, key: K, thing: V) {
        self.order.push_back((time, key.clone()));
        self.by_key.entry(key).or_default().push_back((time, thing));
    }

    /// Says whether there is something under a key.
    pub fn contains(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// Takes the oldest thing under a key that fits, given when it came.
    pub fn take(&mut self, key: &K, mut fits: impl FnMut(f64, &V) -> bool) -> Option<V> {
        let things = self.by_key.get_mut(key)?;
        let at = things.iter().position(|(time, thing)| fits(*time, thing))?;
        let (_, thing) = things.remove(at)?;
        if things.is_empty() {
            self.by_key.remove(key);
        }
        Some(thing)
    }

    /// Takes what is older than this.
    pub fn expire(&mut self, before: f64) -> Vec<V> {
        let mut expired = Vec::new();
        while self.order.front().is_some_and(|(time, _)| *time < before) {
            let Some((time, key)) = self.order.pop_front() else {
                break;
            };
            // It may have been taken meanwhile.
            expired.extend(self.take(&key, |pushed, _| pushed <= time));
        }
        expired
    }

    /// Takes everything.
    pub fn drain(&mut self) -> Vec<V> {
        self.expire(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_is_old_expires() {
        let mut timed = Timed::default();
        for (time, key) in [(1.0, "a"), (2.0, "b"), (3.0, "a"), (4.0, "c")] {
            timed.push(time, key, time as u32);
        }
        assert_eq!(timed.take(&"a", |_, thing| *thing == 3), Some(3));
        assert_eq!(timed.take(&"a", |time, _| 2.0 < time), None);
        assert!(timed.contains(&"a"));
        assert_eq!(timed.expire(2.5), [1, 2]);
        assert!(!timed.contains(&"a"));
        assert_eq!(timed.drain(), [4]);
        assert!(timed.order.is_empty() && timed.by_key.is_empty());
    }
}
