//! Messages ordered by when they are due.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A priority queue of message numbers. Sixteen bytes a message, so that a
/// million waiting messages cost sixteen megabytes and no more.
#[derive(Debug, Default)]
pub struct DueQueue(BinaryHeap<Reverse<(i64, u64)>>);

impl DueQueue {
    /// Adds a message.
    pub fn push(&mut self, due: i64, id: u64) {
        self.0.push(Reverse((due, id)));
    }

    /// Takes the message that is due first, if it is due now, and since when
    /// it is.
    pub fn pop_due(&mut self, now: i64) -> Option<(u64, i64)> {
        let Reverse((due, id)) = *self.0.peek()?;
        if now < due {
            return None;
        }
        self.0.pop();
        Some((id, due))
    }

    /// Makes every message due now.
    pub fn all_due(&mut self, now: i64) {
        // In place: a vector that becomes a vector again keeps its memory.
        let waiting = std::mem::take(&mut self.0).into_vec();
        self.0 = waiting
            .into_iter()
            .map(|Reverse((due, id))| Reverse((due.min(now), id)))
            .collect::<Vec<_>>()
            .into();
    }

    /// What is due after `latest`, but not after `before`, is due at `latest`.
    pub fn pull(&mut self, before: i64, latest: i64) {
        let pulled = |due: i64| match latest < due && due <= before {
            true => latest,
            false => due,
        };
        let waiting = std::mem::take(&mut self.0).into_vec();
        self.0 = waiting
            .into_iter()
            .map(|Reverse((due, id))| Reverse((pulled(due), id)))
            .collect::<Vec<_>>()
            .into();
    }

    /// Makes these messages due now; which of them wait here.
    pub fn some_due(&mut self, ids: &BTreeSet<u64>, now: i64) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut all = std::mem::take(&mut self.0).into_vec();
        for Reverse((due, id)) in &mut all {
            if ids.contains(id) {
                *due = now.min(*due);
                found.insert(*id);
            }
        }
        self.0 = all.into();
        found
    }

    /// Takes a message out; says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|Reverse((_, other))| *other != id);
        self.0.len() < before
    }

    /// When the first message is due.
    pub fn first(&self) -> Option<i64> {
        self.0.peek().map(|Reverse((due, _))| *due)
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All messages and when they are due, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, i64)> {
        self.0.iter().map(|Reverse((due, id))| (*id, *due))
    }
}
