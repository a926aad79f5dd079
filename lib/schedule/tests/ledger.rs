//! What must be true: when which message may be tried, and how each ended.

use std::collections::{BTreeMap, BTreeSet};

use schedule::Channel;

/// Messages that wait, as they should.
#[derive(Debug, Default)]
pub struct Waiting {
    due: BTreeMap<(Channel, u64), (i64, bool)>,
    /// By channel and whether they are new.
    order: [[BTreeSet<(i64, u64)>; 2]; 2],
}

impl Waiting {
    #[track_caller]
    pub fn add(&mut self, channel: Channel, id: u64, due: i64, is_new: bool) {
        let before = self.due.insert((channel, id), (due, is_new));
        assert_eq!(before, None, "{channel}/{id} waits twice");
        self.order[channel.index()][usize::from(is_new)].insert((due, id));
    }

    /// A message is opened: it waited, and it is due.
    #[track_caller]
    pub fn open(&mut self, channel: Channel, id: u64, now: i64) -> (i64, bool) {
        let (due, is_new) = self.due.remove(&(channel, id)).expect("it waits");
        assert!(due <= now, "{channel}/{id} is tried at {now}, due {due}");
        self.order[channel.index()][usize::from(is_new)].remove(&(due, id));
        (due, is_new)
    }

    /// When the first is due of those that are not held.
    pub fn first(&self, channel: Channel, is_new: bool, held: &BTreeSet<u64>) -> Option<i64> {
        let order = &self.order[channel.index()][usize::from(is_new)];
        let mut free = order.iter().filter(|(_, id)| !held.contains(id));
        free.next().map(|(due, _)| *due)
    }

    /// It is not new any more.
    pub fn is_tried(&mut self, channel: Channel, id: u64) {
        let (due, is_new) = self.due[&(channel, id)];
        self.order[channel.index()][usize::from(is_new)].remove(&(due, id));
        self.due.remove(&(channel, id));
        self.add(channel, id, due, false);
    }

    /// Changes due times on a channel.
    pub fn change(&mut self, channel: Channel, new: impl Fn(i64) -> i64) {
        let all = std::mem::take(&mut self.due);
        self.order[channel.index()] = Default::default();
        for ((on, id), (due, is_new)) in all {
            if on == channel {
                self.add(channel, id, new(due), is_new);
            } else {
                self.due.insert((on, id), (due, is_new));
            }
        }
    }
}

/// How one run went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    pub messages: usize,
    pub recipients: usize,
    pub deliveries: usize,
    pub delivered: usize,
    pub failed: usize,
    pub expired: usize,
    pub duplicates: usize,
    pub bounces: usize,
    pub discarded: usize,
    pub restarts: usize,
    pub kills: usize,
    pub jumps: usize,
    pub days: i64,
    /// Of everything that happened, in order.
    pub fingerprint: u64,
}

impl Outcome {
    /// Adds what happened to the fingerprint.
    pub fn note(&mut self, what: u64, of: u64, at: i64) {
        for number in [what, of, at.cast_unsigned()] {
            let mixed = (self.fingerprint ^ number).wrapping_mul(0x0100_0000_01b3);
            self.fingerprint = mixed.rotate_left(23);
        }
    }
}

/// The formula of the manual, computed another way than the scheduler does.
pub fn next_try(channel: Channel, birth: i64, now: i64) -> i64 {
    let skip = if channel == Channel::Local { 10 } else { 20 };
    let mut steps = 0;
    while (steps + 1) * (steps + 1) <= now - birth {
        steps += 1;
    }
    birth + (steps + skip) * (steps + skip)
}
