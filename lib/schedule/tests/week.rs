//! Thousands of messages, failing peers, and whatever can come in between.

use schedule::Channel;

use crate::ledger::Outcome;
use crate::world::{Event, World};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const MESSAGES: usize = 2_500;

/// What is done to the queue beside sending mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disturbance {
    /// Nothing.
    None,
    /// HUP, ALRM, USR1 and USR2, messages held and let go, clean restarts, full
    /// pipes.
    Administrators,
    /// All that, kills, and a clock that is set.
    Everything,
}

fn week(seed: u64, disturbance: Disturbance) -> Outcome {
    let mut world = World::new(seed);
    for _ in 0..MESSAGES {
        let time = world.random().between(0, 2 * DAY);
        world.at(time, Event::Arrive);
    }
    let mut throughout = |every: i64, event: &dyn Fn(i64) -> Vec<(i64, Event)>| {
        let mut time = 0;
        while time < 8 * DAY {
            time += world.random().between(every / 2, every + every / 2);
            let chosen = world.random().between(-12 * HOUR, 12 * HOUR);
            for (later, event) in event(chosen) {
                world.at(time + later, event);
            }
        }
    };
    if disturbance != Disturbance::None {
        throughout(30 * HOUR, &|_| vec![(0, Event::Alarm)]);
        throughout(7 * HOUR, &|_| vec![(0, Event::Hangup)]);
        throughout(19 * HOUR, &|_| vec![(0, Event::Term)]);
        throughout(25 * HOUR, &|_| {
            vec![(0, Event::Detach(true)), (HOUR, Event::Detach(false))]
        });
        throughout(17 * HOUR, &|_| {
            vec![(0, Event::Hold), (2 * HOUR, Event::Release)]
        });
        throughout(HOUR, &|chosen| {
            let channel = Channel::ALL[(chosen & 1) as usize];
            vec![
                (0, Event::Congest(channel, true)),
                (5, Event::Congest(channel, false)),
            ]
        });
    }
    if disturbance == Disturbance::Everything {
        throughout(11 * HOUR, &|_| vec![(0, Event::Kill)]);
        throughout(23 * HOUR, &|chosen| vec![(0, Event::Jump(chosen))]);
    }
    let outcome = world.run();
    println!("seed {seed}, {disturbance:?}: {outcome:?}");
    assert!(MESSAGES + outcome.bounces <= outcome.messages);
    assert!(0 < outcome.expired && 0 < outcome.discarded && 7 <= outcome.days);
    outcome
}

#[test]
fn in_a_quiet_week_everybody_gets_a_message_or_its_sender_a_bounce() {
    for seed in [1, 2] {
        let outcome = week(seed, Disturbance::None);
        assert_eq!(outcome.delivered + outcome.failed, outcome.recipients);
    }
}

#[test]
fn signals_and_restarts_change_no_schedule_and_lose_nothing() {
    for seed in [11, 12] {
        let outcome = week(seed, Disturbance::Administrators);
        assert_eq!(outcome.delivered + outcome.failed, outcome.recipients);
        assert!(5 < outcome.restarts);
    }
}

#[test]
fn kills_and_a_clock_that_is_set_cost_duplicates_at_most() {
    for seed in [21, 22, 23] {
        let outcome = week(seed, Disturbance::Everything);
        assert_eq!(outcome.delivered + outcome.failed, outcome.recipients);
        assert!(5 < outcome.kills && 5 < outcome.jumps);
        assert!(outcome.duplicates * 20 < outcome.recipients);
    }
}

#[test]
fn the_same_seed_gives_the_same_week() {
    let first = week(31, Disturbance::Everything);
    assert_eq!(first, week(31, Disturbance::Everything));
    assert_ne!(
        first.fingerprint,
        week(32, Disturbance::Everything).fingerprint
    );
}
