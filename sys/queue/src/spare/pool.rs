//! Which spare files may be given out, and when.
//!
//! A file that was moved to `spare` may still be a message on the disk: until
//! the move is durable a power cut brings the old name back, with whatever
//! was written into the file since. Recipients of the old message would get
//! the new one. So a file waits until a sync of everything has begun after it
//! was seen in `spare`, and has ended well.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Names of spare files. Numbers of syncs rise; several are never under way.
#[derive(Debug)]
pub struct SparePool<Name> {
    /// Names that wait for the end of a sync, by its number.
    waiting: HashMap<Name, u64>,
    free: Vec<Name>,
    /// Given to somebody who has not given them back.
    taken: HashSet<Name>,
}

impl<Name> Default for SparePool<Name> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            free: Vec::new(),
            taken: HashSet::new(),
        }
    }
}

impl<Name: Clone + Eq + Hash> SparePool<Name> {
    /// Sees names in `spare`; none of the syncs below `next_sync` makes the
    /// moves of those it did not know durable.
    pub fn see(&mut self, names: impl IntoIterator<Item = Name>, next_sync: u64) {
        for name in names {
            if !self.taken.contains(&name) && !self.free.contains(&name) {
                self.waiting.entry(name).or_insert(next_sync);
            }
        }
    }

    /// A name nobody else is given until it is given back; `synced` is the
    /// number of the newest sync of everything that ended well.
    pub fn take(&mut self, synced: u64) -> Option<Name> {
        if self.free.is_empty() {
            let ready = self.waiting.extract_if(|_, sync| *sync <= synced);
            self.free.extend(ready.map(|(name, _)| name));
        }
        let name = self.free.pop()?;
        self.taken.insert(name.clone());
        Some(name)
    }

    /// The name is a message now, or gone.
    pub fn give_back(&mut self, name: &Name) {
        self.taken.remove(name);
    }

    /// Names that are not given out, and do not wait for a sync.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Some wait for a sync.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_out_after_a_sync_that_began_after_it_was_seen() {
        let mut pool = SparePool::default();
        pool.see(["a"], 5);
        assert_eq!(pool.take(4), None, "it began before");
        pool.see(["a", "b"], 6);
        assert_eq!(pool.take(5), Some("a"));
        assert_eq!(pool.take(5), None, "seen later");
        assert!(pool.waits());
        assert_eq!(pool.take(6), Some("b"));
    }

    #[test]
    fn what_was_given_out_is_not_seen_until_it_is_given_back() {
        let mut pool = SparePool::default();
        pool.see(["a"], 1);
        assert_eq!(pool.take(1), Some("a"));
        pool.see(["a"], 2);
        assert_eq!(pool.take(9), None);
        pool.give_back(&"a");
        pool.see(["a"], 3);
        assert_eq!(pool.take(2), None, "moved here again since");
        assert_eq!(pool.take(3), Some("a"));
    }
}
