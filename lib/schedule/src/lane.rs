//! What one channel has waiting and running.

use crate::Channel;
use crate::due::DueQueue;
use crate::scheduler::{Delivery, JobId};

/// The part of a channel's slots that first tries, and retries, can each
/// count on: a backlog for a dead host does not keep new mail waiting, and a
/// flood of new mail does not keep the backlog from being tried.
const SHARE_GUARANTEED: usize = 4;

/// Is a message tried for the first time since it was told?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It is new.
    #[default]
    First,
    /// It was deferred, or found in the queue at the start.
    Again,
}

impl Turn {
    pub(crate) const ALL: [Self; 2] = [Self::First, Self::Again];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Again => 1,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Again,
            Self::Again => Self::First,
        }
    }
}

/// One channel. Messages of each turn wait in their own queue and are read in
/// their own pass.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) due: [DueQueue; 2],
    pub(crate) passes: [Option<JobId>; 2],
    pub(crate) running: [usize; 2],
    /// Turn of the message that is being opened, and since when it was due.
    pub(crate) opening: (Turn, i64),
    pub(crate) slots: Vec<Option<Delivery>>,
    pub(crate) limit: usize,
    /// By the control files.
    pub(crate) held: bool,
    /// By an operator.
    pub(crate) held_by_operator: bool,
    /// When something held was last let go: what was due by then may be old
    /// only because it was held.
    pub(crate) released: Option<i64>,
    pub(crate) congested: bool,
}

impl Lane {
    /// When there is something to do in a turn: at once in an open pass.
    pub(crate) fn first(&self, turn: Turn) -> Option<i64> {
        match self.passes[turn.index()] {
            Some(_) => Some(i64::MIN),
            None => self.due[turn.index()].first(),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.running.iter().sum()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held || self.held_by_operator
    }

    /// Slots that are kept for each turn.
    fn guaranteed(&self) -> usize {
        self.limit / SHARE_GUARANTEED
    }

    /// Says whether a delivery of this turn may start.
    pub(crate) fn may_start(&self, turn: Turn) -> bool {
        // Retries wait for hosts that are known to be slow: the slots of first
        // tries are kept free of them even while there are no first tries.
        let kept = match turn {
            Turn::First => 0,
            Turn::Again => self.guaranteed(),
        };
        !self.is_held()
            && !self.congested
            && self.running() < self.limit
            && self.running[turn.index()] + kept < self.limit
    }

    /// The turn to go on with now, if any.
    pub(crate) fn turn(&self, now: i64, first_tries: bool) -> Option<Turn> {
        let key = |turn: Turn| self.first(turn).filter(|due| *due <= now);
        let allowed = |turn: Turn| {
            (turn == Turn::Again || first_tries) && self.may_start(turn) && key(turn).is_some()
        };
        let preferred = if self.guaranteed() == 0 {
            // Too few slots to share: who is due first goes first.
            match key(Turn::Again) < key(Turn::First) && key(Turn::Again).is_some() {
                true => Turn::Again,
                false => Turn::First,
            }
        } else if self.running[Turn::Again.index()] < self.guaranteed() {
            Turn::Again
        } else {
            Turn::First
        };
        [preferred, preferred.other()]
            .into_iter()
            .find(|turn| allowed(*turn))
    }

    pub(crate) fn free_slot(&self) -> Option<u16> {
        let slots = self.slots.iter().take(self.limit);
        let free = slots.enumerate().find(|(_, slot)| slot.is_none());
        free.and_then(|(number, _)| u16::try_from(number).ok())
    }

    pub(crate) fn all_due(&mut self, now: i64) {
        self.due.iter_mut().for_each(|due| due.all_due(now));
    }

    /// Its part of the status line.
    pub(crate) fn status(&self, channel: Channel) -> String {
        let held = if self.is_held() { " (held)" } else { "" };
        format!(" {channel} {}/{}{held}", self.running(), self.limit)
    }
}
