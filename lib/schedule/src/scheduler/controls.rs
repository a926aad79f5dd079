//! What changes for all messages: limits, holds, signals and the clock.

use super::{RETRY_TROUBLE_SECONDS, Scheduler};
use crate::Channel;
use crate::retry::longest_wait;

/// A clock that goes back by more was set, not adjusted.
const CLOCK_SET_SECONDS: i64 = 60;

impl Scheduler {
    /// Changes how many deliveries run at once. Those above a smaller limit
    /// end on their own.
    pub fn set_limit(&mut self, channel: Channel, limit: usize) {
        let lane = self.lane(channel);
        lane.limit = limit;
        if lane.slots.len() < limit {
            lane.slots.resize_with(limit, || None);
        }
    }

    /// Stops or lets new deliveries start on a channel; when they resume,
    /// everything is due. Says whether that changed anything.
    pub fn hold(&mut self, channel: Channel, held: bool, now: i64) -> bool {
        let lane = self.lane(channel);
        let changed = lane.held != held;
        lane.held = held;
        if changed && !held {
            lane.all_due(now);
            lane.released = Some(now);
        }
        changed
    }

    /// Stops or lets new messages be started, on both channels; those in the
    /// queue are tried on.
    pub fn detach(&mut self, detached: bool) {
        self.detached = detached;
    }

    /// Says how long messages are tried, and so how far in the future a next
    /// try can be: what is further away when the clock is set back is not.
    pub fn set_lifetime(&mut self, seconds: i64) {
        self.wait_max = longest_wait(seconds).max(RETRY_TROUBLE_SECONDS);
    }

    /// Says whether the spawner takes another command now. While it does not,
    /// nothing is started on that channel.
    pub fn set_congested(&mut self, channel: Channel, congested: bool) {
        self.lane(channel).congested = congested;
    }

    /// Starts nothing any more; what runs may end.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Every message is due now, whatever its schedule says.
    pub fn run_all(&mut self, now: i64) {
        for lane in &mut self.lanes {
            lane.all_due(now);
        }
        self.finishing.all_due(now);
    }

    /// Notices that the clock was set back: what was due within the longest
    /// wait by the old clock is so by the new one.
    pub(super) fn notice_clock(&mut self, now: i64) {
        if now + CLOCK_SET_SECONDS < self.seen {
            let (before, wait) = (self.seen, self.wait_max);
            for due in self.lanes.iter_mut().flat_map(|lane| &mut lane.due) {
                due.pull(before.saturating_add(wait), now.saturating_add(wait));
            }
            let latest = now.saturating_add(wait);
            for due in self.parked.values_mut() {
                if *due <= before.saturating_add(wait) {
                    *due = latest.min(*due);
                }
            }
            let wait = RETRY_TROUBLE_SECONDS;
            self.finishing.pull(before + wait, now + wait);
            self.seen = now;
        }
        self.seen = self.seen.max(now);
    }
}
