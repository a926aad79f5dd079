//! The messages found in the queue at the start, whose due times are not read
//! yet: reading them all takes seconds when there are many, and nothing waits
//! for that.
//!
//! The numbers are listed once, before anybody can add to them; what is added
//! later is told by qmail-todo. Eight bytes a message until it is read.

use crate::Channel;

/// What is still to be read.
#[derive(Debug, Default)]
pub struct Backlog {
    ids: Vec<u64>,
    /// Everything on a channel is due by then, whatever its file says.
    all_due: [Option<i64>; 2],
}

impl Backlog {
    /// Messages with `info`, without those that are in `todo` as well: these
    /// come through qmail-todo.
    pub fn new(info: Vec<u64>, mut todo: Vec<u64>) -> Self {
        todo.sort_unstable();
        let mut ids = info;
        ids.retain(|id| todo.binary_search(id).is_err());
        Self {
            ids,
            all_due: [None; 2],
        }
    }

    /// Everything on a channel is due now.
    pub fn all_due(&mut self, channel: Channel, now: i64) {
        if !self.ids.is_empty() {
            self.all_due[channel.index()] = Some(now);
        }
    }

    /// The next message to look at.
    pub fn take(&mut self) -> Option<u64> {
        let next = self.ids.pop();
        if next.is_none() {
            self.ids = Vec::new();
        }
        next
    }

    /// When a message whose file says `due` is due.
    pub fn due(&self, channel: Channel, due: i64) -> i64 {
        self.all_due[channel.index()].map_or(due, |all_due| due.min(all_due))
    }

    /// Nothing is left, and its memory is free.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qmail_todo_will_tell_is_not_told_twice() {
        let mut backlog = Backlog::new(vec![1, 2, 3, 4], vec![9, 3, 1]);
        backlog.all_due(Channel::Local, 100);
        assert_eq!(backlog.take(), Some(4));
        assert_eq!(backlog.due(Channel::Local, 500), 100);
        assert_eq!(backlog.due(Channel::Local, 50), 50);
        assert_eq!(backlog.due(Channel::Remote, 500), 500);
        assert_eq!((backlog.take(), backlog.take()), (Some(2), None));
        assert!(backlog.is_empty());
    }
}
