//! The scheduler under a virtual clock.

use super::*;
use crate::{LIFETIME_DEFAULT_SECONDS, Verdict};

const BIRTH: i64 = 1_000_000;

/// Runs one recipient through one pass and reports `outcome`.
fn attempt(scheduler: &mut Scheduler, now: i64, outcome: Verdict) -> (Finding, JobEnd) {
    let Some(Step::Open { channel, id }) = scheduler.step(now) else {
        panic!("nothing to open at {now}")
    };
    let job = scheduler.opened(channel, id, BIRTH, LIFETIME_DEFAULT_SECONDS, now);
    assert!(matches!(scheduler.step(now), Some(Step::Next { .. })));
    let started = scheduler.start(job, b"ann@example.org".to_vec(), 0);
    assert!(matches!(scheduler.step(now), Some(Step::Next { .. })));
    scheduler.exhausted(job);
    assert_eq!(scheduler.step(now), None);
    let finding = scheduler
        .report(channel, started.slot, outcome)
        .unwrap()
        .finding;
    let Some(Step::Close { end, .. }) = scheduler.step(now) else {
        panic!("the job must close")
    };
    (finding, end)
}

#[test]
fn a_deferred_message_is_tried_until_it_is_too_old() {
    let mut scheduler = Scheduler::new([10, 20]);
    scheduler.add(Channel::Remote, 7, BIRTH);
    let (mut now, mut attempts) = (BIRTH, 0);
    loop {
        attempts += 1;
        match attempt(&mut scheduler, now, Verdict::Deferral) {
            (Finding::Deferred { next }, JobEnd::Requeued { next: again }) => {
                assert_eq!(next, again);
                assert_eq!(scheduler.step(next - 1), None);
                assert_eq!(scheduler.wake_at(), Some(next));
                now = next;
            }
            (finding, end) => {
                assert_eq!(finding, Finding::Failed { expired: true });
                assert_eq!(end, JobEnd::Done);
                break;
            }
        }
    }
    assert_eq!((attempts, now - BIRTH), (40, 608_400));
}

#[test]
fn no_more_deliveries_run_than_the_limit_says() {
    let mut scheduler = Scheduler::new([2, 0]);
    scheduler.add(Channel::Local, 7, 0);
    scheduler.add(Channel::Remote, 8, 0);
    let Some(Step::Open { channel, id: 7 }) = scheduler.step(5) else {
        panic!("remote is at limit 0")
    };
    let job = scheduler.opened(channel, 7, 0, 100, 5);
    for n in 0..2 {
        assert!(matches!(scheduler.step(5), Some(Step::Next { .. })));
        assert_eq!(scheduler.start(job, vec![b'a'], n).slot, n as u16);
    }
    assert_eq!(scheduler.step(5), None);
    assert_eq!(scheduler.status(), "status: local 2/2 remote 0/0");
    scheduler.report(channel, 0, Verdict::Success).unwrap();
    assert!(matches!(scheduler.step(5), Some(Step::Next { .. })));
}

#[test]
fn a_hold_keeps_messages_and_its_end_runs_them_all() {
    let mut scheduler = Scheduler::new([1, 1]);
    scheduler.add(Channel::Remote, 7, 500);
    assert!(scheduler.hold(Channel::Remote, true, 10));
    assert_eq!(scheduler.step(600), None);
    assert_eq!(scheduler.status(), "status: local 0/1 remote 0/1 (held)");
    assert!(scheduler.hold(Channel::Remote, false, 20));
    assert!(matches!(scheduler.step(20), Some(Step::Open { id: 7, .. })));
}

#[test]
fn after_stop_running_deliveries_end_and_nothing_starts() {
    let mut scheduler = Scheduler::new([1, 1]);
    scheduler.add(Channel::Local, 7, 0);
    scheduler.add(Channel::Local, 9, 77);
    scheduler.step(1);
    let job = scheduler.opened(Channel::Local, 7, 0, 100, 1);
    scheduler.step(1);
    scheduler.start(job, vec![b'a'], 0);
    scheduler.stop();
    assert!(!scheduler.is_idle());
    scheduler
        .report(Channel::Local, 0, Verdict::Success)
        .unwrap();
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.step(1000), None);
    assert_eq!(
        scheduler.waiting(Channel::Local).collect::<Vec<_>>(),
        [(9, 77)]
    );
}

#[test]
fn a_backlog_does_not_keep_what_is_done() {
    let mut scheduler = Scheduler::new([1, 1]);
    scheduler.add(Channel::Local, 7, 0);
    scheduler.finish(8, 0);
    assert_eq!(scheduler.step(1), Some(Step::Finish { id: 8 }));
}

#[test]
fn a_lost_spawner_leaves_its_recipients_for_later() {
    let mut scheduler = Scheduler::new([1, 1]);
    scheduler.add(Channel::Local, 7, 0);
    scheduler.step(1);
    let job = scheduler.opened(Channel::Local, 7, 0, 100, 1);
    scheduler.start(job, vec![b'a'], 0);
    scheduler.exhausted(job);
    scheduler.lose(Channel::Local);
    let end = JobEnd::Requeued { next: 121 };
    assert!(matches!(scheduler.step(1), Some(Step::Close { end: e, .. }) if e == end));
    assert!(scheduler.is_idle());
}

#[test]
fn a_report_for_an_empty_slot_changes_nothing() {
    let mut scheduler = Scheduler::new([1, 1]);
    for slot in [0, 1, u16::MAX] {
        let report = scheduler.report(Channel::Local, slot, Verdict::Success);
        assert_eq!(report, Err(Unknown));
    }
}

/// Starts everything that may start at once; the messages, in order. Each has
/// one recipient.
fn start_all(scheduler: &mut Scheduler, now: i64) -> Vec<u64> {
    let mut started = Vec::new();
    loop {
        match scheduler.step(now) {
            Some(Step::Open { channel, id }) => {
                scheduler.opened(channel, id, BIRTH, LIFETIME_DEFAULT_SECONDS, now);
            }
            Some(Step::Next { job, .. }) => {
                started.push(scheduler.start(job, vec![b'a'], 0).id);
                scheduler.exhausted(job);
            }
            Some(_) => {}
            None => return started,
        }
    }
}

#[test]
fn retries_leave_a_quarter_of_the_slots_to_new_messages() {
    let mut scheduler = Scheduler::new([0, 8]);
    for id in 0..100 {
        scheduler.add(Channel::Remote, id, BIRTH);
    }
    assert_eq!(start_all(&mut scheduler, BIRTH).len(), 6);
    for id in 100..200 {
        scheduler.add_new(Channel::Remote, id, BIRTH);
    }
    assert_eq!(start_all(&mut scheduler, BIRTH), [100, 101]);
    assert_eq!(scheduler.status(), "status: local 0/0 remote 8/8");
    // The other way round, retries get a quarter of them too.
    let mut both = Scheduler::new([0, 8]);
    for id in 0..100 {
        both.add(Channel::Remote, id, BIRTH);
        both.add_new(Channel::Remote, 100 + id, BIRTH);
    }
    let started = start_all(&mut both, BIRTH);
    assert_eq!(started.iter().filter(|id| **id < 100).count(), 2);
    assert_eq!(started.len(), 8);
}

#[test]
fn few_slots_go_to_whoever_is_due_first() {
    let mut scheduler = Scheduler::new([1, 0]);
    scheduler.add(Channel::Local, 7, BIRTH - 5);
    scheduler.add_new(Channel::Local, 8, BIRTH - 9);
    assert_eq!(start_all(&mut scheduler, BIRTH), [8]);
    scheduler
        .report(Channel::Local, 0, Verdict::Success)
        .unwrap();
    scheduler.add_new(Channel::Local, 9, BIRTH - 1);
    assert_eq!(start_all(&mut scheduler, BIRTH), [7]);
}

#[test]
fn while_detached_only_old_messages_are_tried() {
    let mut scheduler = Scheduler::new([4, 4]);
    scheduler.add(Channel::Local, 7, BIRTH);
    scheduler.add_new(Channel::Local, 8, BIRTH);
    scheduler.detach(true);
    assert_eq!(start_all(&mut scheduler, BIRTH), [7]);
    assert_eq!(scheduler.wake_at(), None);
    scheduler.detach(false);
    assert_eq!(start_all(&mut scheduler, BIRTH), [8]);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting_for_long() {
    const YEAR: i64 = 365 * 86_400;
    let mut scheduler = Scheduler::new([1, 1]);
    // Deferred while the clock was a year ahead; and held by an operator.
    scheduler.step(BIRTH + YEAR);
    scheduler.add(Channel::Remote, 7, BIRTH + YEAR + 400);
    scheduler.add(Channel::Remote, 8, BIRTH + 3 * YEAR);
    scheduler.finish_later(9, BIRTH + YEAR);
    assert_eq!(scheduler.step(BIRTH), None);
    assert_eq!(scheduler.wake_at(), Some(BIRTH + RETRY_TROUBLE_SECONDS));
    let due: BTreeMap<u64, i64> = scheduler.waiting(Channel::Remote).collect();
    let longest = crate::longest_wait(LIFETIME_DEFAULT_SECONDS);
    assert_eq!(due[&7], BIRTH + longest);
    assert_eq!(due[&8], BIRTH + 3 * YEAR);
    // An adjustment is not a jump.
    scheduler.step(BIRTH - 10);
    assert_eq!(scheduler.wake_at(), Some(BIRTH + RETRY_TROUBLE_SECONDS));
}

#[test]
fn a_single_message_ends_delivered_or_is_put_back() {
    for (verdict, end) in [
        (Verdict::Success, JobEnd::Delivered),
        (
            Verdict::Deferral,
            JobEnd::PutBack {
                due: BIRTH + 400,
                is_done: false,
            },
        ),
        (
            Verdict::Failure,
            JobEnd::PutBack {
                due: BIRTH,
                is_done: true,
            },
        ),
    ] {
        let mut scheduler = Scheduler::new([1, 1]);
        scheduler.add_new(Channel::Remote, 7, BIRTH);
        scheduler.step(BIRTH);
        let job = scheduler.opened(Channel::Remote, 7, BIRTH, 1000, BIRTH);
        scheduler.is_single(job);
        let slot = scheduler.start(job, vec![b'a'], 0).slot;
        scheduler.exhausted(job);
        scheduler.report(Channel::Remote, slot, verdict).unwrap();
        let Some(Step::Close { end: closed, .. }) = scheduler.step(BIRTH) else {
            panic!("the job must close")
        };
        assert_eq!(closed, end);
        assert_eq!(scheduler.waiting_count(Channel::Remote), 0);
    }
}

/// Drives random messages with random outcomes under a virtual clock and
/// checks that every recipient gets exactly one final finding.
#[test]
fn every_recipient_is_done_once_whatever_happens() {
    property::holds(|u| {
        let mut scheduler =
            Scheduler::new([u.int_in_range(1..=4usize)?, u.int_in_range(1..=4usize)?]);
        let mut now = BIRTH;
        let messages = u.int_in_range(1..=6u64)?;
        // Recipients left, by message: one bit each.
        let mut left: BTreeMap<u64, u8> = BTreeMap::new();
        let mut reading: BTreeMap<JobId, Vec<u64>> = BTreeMap::new();
        let mut running: Vec<(Channel, u16)> = Vec::new();
        for id in 0..messages {
            left.insert(id, u.int_in_range(1..=15u8)?);
            let channel = Channel::ALL[usize::from(u.arbitrary::<bool>()?)];
            scheduler.add(channel, id, now);
        }
        let mut finished = Vec::new();
        for _ in 0..100_000 {
            if finished.len() as u64 == messages {
                break;
            }
            match scheduler.step(now) {
                Some(Step::Open { channel, id }) => {
                    let job = scheduler.opened(channel, id, BIRTH, 10_000, now);
                    let bits = left[&id];
                    reading.insert(job, (0..8).filter(|b| bits >> b & 1 == 1).collect());
                }
                Some(Step::Next { channel, job }) => match reading.get_mut(&job).unwrap().pop() {
                    Some(bit) => {
                        let started = scheduler.start(job, vec![], bit);
                        running.push((channel, started.slot));
                    }
                    None => scheduler.exhausted(job),
                },
                Some(Step::Close {
                    id,
                    end: JobEnd::Done,
                    ..
                }) => scheduler.finish(id, now),
                Some(Step::Close { .. }) => {}
                Some(Step::Finish { id }) => {
                    assert_eq!(left[&id], 0, "message {id} ended too early");
                    finished.push(id);
                }
                None => match running.pop() {
                    Some((channel, slot)) => {
                        let outcomes = [Verdict::Success, Verdict::Failure, Verdict::Deferral];
                        let outcome = outcomes[u.int_in_range(0..=2usize).unwrap_or(0)];
                        let Reported {
                            delivery, finding, ..
                        } = scheduler.report(channel, slot, outcome).unwrap();
                        if !matches!(finding, Finding::Deferred { .. }) {
                            let bits = left.get_mut(&delivery.id).unwrap();
                            assert_eq!(*bits >> delivery.offset & 1, 1);
                            *bits &= !(1 << delivery.offset);
                        }
                    }
                    None => now = scheduler.wake_at().unwrap().max(now),
                },
            }
        }
        assert_eq!(finished.len() as u64, messages);
        Ok(())
    });
}

#[test]
fn a_domain_over_its_rate_is_tried_when_it_may_be() {
    let mut scheduler = Scheduler::new([1, 5]);
    let open = |scheduler: &mut Scheduler, now| {
        let Some(Step::Open { channel, id }) = scheduler.step(now) else {
            panic!("nothing to open at {now}")
        };
        let job = scheduler.opened(channel, id, BIRTH, LIFETIME_DEFAULT_SECONDS, now);
        assert!(matches!(scheduler.step(now), Some(Step::Next { .. })));
        job
    };
    scheduler.add(Channel::Remote, 7, BIRTH);
    let job = open(&mut scheduler, BIRTH);
    // Neither the recipient before nor the one after waits for it.
    scheduler.start(job, b"a@fast.test".to_vec(), 0);
    assert!(scheduler.postpone(job, BIRTH + 33));
    assert!(!scheduler.postpone(job, BIRTH + 44));
    assert!(matches!(scheduler.step(BIRTH), Some(Step::Next { .. })));
    scheduler.exhausted(job);
    let reported = scheduler.report(Channel::Remote, 0, Verdict::Success);
    assert!(!reported.unwrap().ends_channel);
    let Some(Step::Close { end, .. }) = scheduler.step(BIRTH) else {
        panic!("the job must close")
    };
    assert_eq!(end, JobEnd::Requeued { next: BIRTH + 33 });
    assert_eq!(
        scheduler.status(),
        "status: local 0/1 remote 0/5 delayed jobs=1"
    );
    assert_eq!(scheduler.wake_at(), Some(BIRTH + 33));
    let job = open(&mut scheduler, BIRTH + 33);
    assert_eq!(scheduler.status(), "status: local 0/1 remote 0/5");
    // A deferral has its own time, and the earlier one counts.
    scheduler.start(job, b"a@slow.test".to_vec(), 0);
    scheduler.postpone(job, BIRTH + 5000);
    scheduler.exhausted(job);
    let deferred = scheduler.report(Channel::Remote, 0, Verdict::Deferral);
    let Finding::Deferred { next } = deferred.unwrap().finding else {
        panic!("it is deferred")
    };
    let Some(Step::Close { end, .. }) = scheduler.step(BIRTH + 33) else {
        panic!("the job must close")
    };
    assert!(next < BIRTH + 5000);
    assert_eq!(end, JobEnd::Requeued { next });
}
