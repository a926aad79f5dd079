//! What an operator asks of the schedule: holds, tries now, and messages
//! taken out of it.
//!
//! A message on hold stays out of the due queue from the moment it is due, so
//! it costs nothing and never becomes too old: what is let go is tried, and
//! when that does not work once more at its next time, whatever its age.

use std::collections::BTreeSet;

use wire::operator::Place;

use super::Scheduler;
use crate::{Channel, Holds, JobId};

/// What came of taking a message out of the schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forgotten {
    /// It is out.
    Yes,
    /// It has a job; nothing was changed.
    Busy,
    /// It was not there.
    Unknown,
}

impl Scheduler {
    /// Replaces what is held. What is not held any more and is due is tried
    /// now.
    pub fn set_holds(&mut self, holds: Holds, now: i64) {
        let before = std::mem::replace(&mut self.holds, holds);
        for channel in Channel::ALL {
            let held = self.holds.channels[channel.index()];
            let lane = self.lane(channel);
            if lane.held_by_operator && !held {
                lane.all_due(now);
                lane.released = Some(now);
            }
            lane.held_by_operator = held;
        }
        let parked = std::mem::take(&mut self.parked);
        for ((channel, id), due) in parked {
            if self.holds.messages.contains(&id) {
                self.parked.insert((channel, id), due);
            } else {
                self.add(channel, id, due);
                self.lane(channel).released = Some(now);
            }
        }
        if !before.domains.is_subset(&self.holds.domains) {
            for channel in Channel::ALL {
                let of_channel = self.skipped.iter().filter(|(on, _)| *on == channel);
                let ids: BTreeSet<u64> = of_channel.map(|(_, id)| *id).collect();
                if !ids.is_empty() {
                    self.hurry(channel, &ids, now);
                    self.lane(channel).released = Some(now);
                }
            }
            self.skipped.clear();
        }
    }

    /// What is held.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Says whether a channel starts nothing.
    pub fn is_held(&self, channel: Channel) -> bool {
        self.lanes[channel.index()].is_held()
    }

    /// Says whether the message of a job is held: its pass is to end.
    pub fn holds_job(&self, job: JobId) -> bool {
        let job = self.jobs.get(&job);
        job.is_some_and(|job| self.holds.messages.contains(&job.id))
    }

    /// The next recipient of the job is held: it is left for later.
    pub fn skip(&mut self, job: JobId) {
        self.leave_some(job);
        if let Some(job) = self.jobs.get(&job) {
            self.skipped.insert((job.channel, job.id));
        }
    }

    /// Makes these messages due now; how many of them are known here. What is
    /// held stays held.
    pub fn retry(&mut self, ids: &BTreeSet<u64>, now: i64) -> usize {
        let mut found = BTreeSet::new();
        for channel in Channel::ALL {
            found.extend(self.hurry(channel, ids, now));
        }
        let parked = self.parked.keys().map(|(_, id)| *id);
        found.extend(parked.filter(|id| ids.contains(id)));
        found.extend(self.finishing.some_due(ids, now));
        found.len()
    }

    fn hurry(&mut self, channel: Channel, ids: &BTreeSet<u64>, now: i64) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for due in &mut self.lane(channel).due {
            found.extend(due.some_due(ids, now));
        }
        let jobs = self.jobs.values().filter(|job| job.channel == channel);
        for job in jobs.filter(|job| ids.contains(&job.id)) {
            self.hurried.insert((channel, job.id));
            found.insert(job.id);
        }
        found
    }

    /// Takes a message out of the schedule, unless it is being delivered.
    pub fn forget(&mut self, id: u64) -> Forgotten {
        if self.jobs.values().any(|job| job.id == id) {
            return Forgotten::Busy;
        }
        let mut was_there = self.finishing.remove(id);
        for channel in Channel::ALL {
            for due in &mut self.lane(channel).due {
                was_there |= due.remove(id);
            }
            was_there |= self.parked.remove(&(channel, id)).is_some();
            self.skipped.remove(&(channel, id));
            self.delayed.remove(&(channel, id));
        }
        match was_there {
            true => Forgotten::Yes,
            false => Forgotten::Unknown,
        }
    }

    /// Where a message is on a channel.
    pub fn place(&self, channel: Channel, id: u64) -> Option<Place> {
        if let Some(due) = self.parked.get(&(channel, id)) {
            return Some(Place::Held { due: *due });
        }
        let mut jobs = self.jobs.values();
        if let Some(job) = jobs.find(|job| job.id == id && job.channel == channel) {
            let running = self.lanes[channel.index()].slots.iter().flatten();
            let recipients = running
                .filter(|delivery| delivery.id == id)
                .map(|delivery| delivery.recipient.clone())
                .collect();
            let next = job.next;
            return Some(Place::Running { recipients, next });
        }
        let due = &self.lanes[channel.index()].due;
        let mut waiting = due.iter().flat_map(|due| due.iter());
        let (_, due) = waiting.find(|(other, _)| *other == id)?;
        Some(Place::Waiting { due })
    }

    /// When a message without recipients left is looked at.
    pub fn finishing(&self, id: u64) -> Option<i64> {
        let mut finishing = self.finishing.iter();
        finishing
            .find(|(other, _)| *other == id)
            .map(|(_, due)| due)
    }

    /// Deliveries that run on a channel, and how many may.
    pub fn load(&self, channel: Channel) -> (usize, usize) {
        let lane = &self.lanes[channel.index()];
        (lane.running(), lane.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, JobEnd, Step};
    use super::*;
    use crate::Verdict;

    const LIFETIME: i64 = 1000;

    fn message(id: u64) -> Holds {
        Holds {
            messages: [id].into(),
            ..Holds::default()
        }
    }

    fn open(scheduler: &mut Scheduler, now: i64) -> (JobId, u64) {
        let Some(Step::Open { channel, id }) = scheduler.step(now) else {
            panic!("nothing to open")
        };
        (scheduler.opened(channel, id, 0, LIFETIME, now), id)
    }

    fn deferred(scheduler: &mut Scheduler, now: i64) -> (Finding, JobEnd) {
        let channel = Channel::Remote;
        let (job, _) = open(scheduler, now);
        let started = scheduler.start(job, b"a@b".to_vec(), 0);
        scheduler.exhausted(job);
        let reported = scheduler.report(channel, started.slot, Verdict::Deferral);
        let Some(Step::Close { end, .. }) = scheduler.step(now) else {
            panic!("the job must close")
        };
        (reported.unwrap().finding, end)
    }

    #[test]
    fn a_held_message_waits_alone_and_is_not_given_up_for_having_been_held() {
        let mut scheduler = Scheduler::new([1, 1]);
        scheduler.set_holds(message(7), 0);
        scheduler.add(Channel::Remote, 7, 5);
        scheduler.add(Channel::Remote, 8, 6);
        let (job, id) = open(&mut scheduler, 10);
        assert_eq!(id, 8, "others go on");
        scheduler.exhausted(job);
        assert!(matches!(scheduler.step(10), Some(Step::Close { .. })));
        assert_eq!(scheduler.step(5000), None);
        assert_eq!(scheduler.wake_at(), None, "it costs no turn");
        let held = Some(Place::Held { due: 5 });
        assert_eq!(scheduler.place(Channel::Remote, 7), held);
        let waiting: Vec<_> = scheduler.waiting(Channel::Remote).collect();
        assert_eq!(waiting, [(7, 5)], "a restart finds it");
        scheduler.set_holds(Holds::default(), 5000);
        let (finding, end) = deferred(&mut scheduler, 5000);
        assert!(matches!(finding, Finding::Deferred { .. }), "{finding:?}");
        let JobEnd::Requeued { next } = end else {
            panic!("{end:?}")
        };
        let expired = Finding::Failed { expired: true };
        assert_eq!(deferred(&mut scheduler, next).0, expired);
    }

    #[test]
    fn a_released_domain_is_tried_at_once_and_nobody_else() {
        let mut scheduler = Scheduler::new([1, 1]);
        let holds = Holds {
            domains: [b"b".to_vec()].into(),
            ..Holds::default()
        };
        scheduler.set_holds(holds, 0);
        scheduler.add(Channel::Remote, 7, 0);
        let (job, _) = open(&mut scheduler, 2000);
        assert!(scheduler.holds().recipient(b"a@b"));
        scheduler.skip(job);
        scheduler.exhausted(job);
        let Some(Step::Close { end, .. }) = scheduler.step(2000) else {
            panic!("the job must close")
        };
        assert!(matches!(end, JobEnd::Requeued { .. }), "{end:?}");
        scheduler.add(Channel::Remote, 9, 9000);
        scheduler.set_holds(Holds::default(), 2001);
        let (finding, _) = deferred(&mut scheduler, 2001);
        assert!(matches!(finding, Finding::Deferred { .. }));
        assert_eq!(scheduler.step(2001), None);
    }

    #[test]
    fn only_the_chosen_are_tried_now_even_when_they_are_at_it() {
        let mut scheduler = Scheduler::new([1, 1]);
        scheduler.add(Channel::Remote, 7, 0);
        scheduler.add(Channel::Remote, 8, 9000);
        scheduler.add(Channel::Remote, 9, 9000);
        let (job, id) = open(&mut scheduler, 10);
        assert_eq!(id, 7);
        assert_eq!(scheduler.retry(&[7, 8, 70].into(), 10), 2);
        scheduler.broken(job);
        scheduler.step(10);
        let next: Vec<u64> = (0..2)
            .map(|_| {
                let (job, id) = open(&mut scheduler, 10);
                scheduler.exhausted(job);
                scheduler.step(10);
                id
            })
            .collect();
        assert_eq!(next, [7, 8]);
        assert_eq!(scheduler.step(10), None);
    }

    #[test]
    fn a_message_is_forgotten_but_not_under_a_delivery() {
        let mut scheduler = Scheduler::new([1, 1]);
        scheduler.add(Channel::Local, 7, 100);
        scheduler.add(Channel::Remote, 7, 0);
        assert_eq!(scheduler.forget(8), Forgotten::Unknown);
        let (job, _) = open(&mut scheduler, 10);
        assert_eq!(scheduler.forget(7), Forgotten::Busy);
        scheduler.broken(job);
        scheduler.step(10);
        assert_eq!(scheduler.forget(7), Forgotten::Yes);
        assert_eq!(scheduler.step(i64::MAX / 2), None);
    }
}
