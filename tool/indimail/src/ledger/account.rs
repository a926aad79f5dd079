//! One message: what both logs tell of it, and how it is settled.

use std::collections::HashSet;

use schedule::Channel;
use wire::trace::TraceId;

use super::{Balance, Difference};

/// A queue and a number in it.
pub type Place = (String, u64);

/// What is known of one message.
#[derive(Debug, Default)]
pub struct Account {
    /// Its trace.
    pub trace: Option<TraceId>,
    /// Its queue and number.
    pub place: Option<Place>,
    /// Its sender.
    pub sender: Option<String>,
    /// When it was first heard of.
    pub accepted: f64,
    /// When it was last heard of.
    pub last: f64,
    /// How many recipients it has.
    pub(super) expected: Option<u64>,
    /// Recipients with an outcome, by channel.
    pub(super) outcomes: [HashSet<u64>; 2],
    /// Outcomes by source, counted with repetitions.
    pub(super) counted: [u64; 2],
    pub(super) has_failed: bool,
    pub(super) has_bounced: bool,
    pub(super) discarded: Option<String>,
    /// qmail-send's log has it.
    pub(super) is_logged: bool,
    pub(super) ended: Option<f64>,
}

/// Which log tells.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Trace,
    Send,
}

impl Account {
    /// Of a message that no log names.
    pub fn at(queue: String, id: u64) -> Self {
        Self {
            place: Some((queue, id)),
            ..Self::default()
        }
    }

    /// A recipient has an outcome, says one of the logs.
    pub(super) fn outcome(&mut self, source: Source, channel: Channel, recipient: u64) {
        self.outcomes[channel.index()].insert(recipient);
        self.counted[source as usize] += 1;
    }

    /// How many recipients have an outcome on a channel.
    pub fn outcomes(&self, channel: Channel) -> u64 {
        self.outcomes[channel.index()].len() as u64
    }

    /// How many recipients are known to have been accepted.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// How many recipients have no outcome in any log.
    pub fn without_outcome(&self) -> u64 {
        let [local, remote] = &self.outcomes;
        let found = (local.len() + remote.len()) as u64;
        let counted = self.counted[0].max(self.counted[1]);
        self.expected
            .unwrap_or(0)
            .saturating_sub(found.max(counted))
    }

    /// Says whether all that can happen to it has, though nobody logged its
    /// end.
    pub fn is_complete(&self) -> bool {
        let is_told = !self.has_failed || self.has_bounced;
        let is_all_done = self.expected.is_some_and(|n| 0 < n) && self.without_outcome() == 0;
        self.discarded.is_some() || (is_told && is_all_done)
    }

    /// Adds a message that ended to the balance.
    pub fn settle(&self, balance: &mut Balance) {
        let left = self.without_outcome();
        if let Some(rule) = &self.discarded {
            balance.discarded += 1;
            *balance.rules.entry(rule.clone()).or_default() += 1;
        } else if 0 < left {
            let n = self.expected.unwrap_or(0);
            let problem = format!(
                "it left the queue, but of its {n} recipients {left} were neither delivered nor \
                 refused"
            );
            balance.differences.push(self.difference(problem));
        } else if self.has_bounced {
            balance.bounced += 1;
        } else if self.has_failed {
            let problem = "a recipient failed, but no bounce was sent nor discarded".to_owned();
            balance.differences.push(self.difference(problem));
        } else {
            balance.delivered += 1;
        }
    }

    /// Names it.
    pub fn difference(&self, problem: String) -> Difference {
        let (queue, message) = match &self.place {
            Some((queue, message)) => (queue.clone(), Some(*message)),
            None => (String::new(), None),
        };
        Difference {
            trace: self.trace.map(String::from),
            queue,
            message,
            sender: self.sender.clone(),
            accepted: self.accepted as i64,
            problem,
            is_young: false,
        }
    }
}
