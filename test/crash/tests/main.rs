//! Every moment of every scenario, within the time of the ordinary tests;
//! `cargo xtask crash` goes on from here.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crash::{Journal, PROTECTIONS, Protection, Report, SCENARIOS, Scenario, crashes, faults};

/// Outcomes of one power cut that are all tried.
const WAYS_MAX: usize = 150;
/// Power cuts after each failed operation.
const CRASHES_EACH: usize = 2;
/// Power cuts after each, to see that a protection is missed.
const CRASHES_MORE: usize = 10;
/// What chance begins with.
const SEED: u64 = 20;

/// Even when the tests are quiet, this is to be seen.
fn tell(what: &str, report: Report) {
    let _ = writeln!(std::io::stderr(), "{what}: {report:?}");
}

fn all_crashes(journal: Journal) -> Report {
    let mut all = Report::default();
    for scenario in SCENARIOS {
        all.add(crashes(scenario, journal, WAYS_MAX, SEED));
    }
    all
}

#[test]
fn no_power_cut_loses_what_was_accepted_on_any_file_system() {
    tell("power cuts, nothing ordered", all_crashes(Journal::None));
}

#[test]
fn no_power_cut_loses_what_was_accepted_where_names_are_ordered() {
    tell("power cuts, names ordered", all_crashes(Journal::Names));
}

#[test]
fn no_failing_operation_loses_what_was_accepted() {
    let mut all = Report::default();
    for scenario in SCENARIOS {
        for journal in [Journal::None, Journal::Names] {
            all.add(faults(scenario, journal, CRASHES_EACH, SEED));
        }
    }
    tell("failing operations", all);
}

/// Says whether a power cut, or a failing operation and then a power cut,
/// breaks a promise without this.
fn is_missed(protection: Protection) -> bool {
    let breaks = |attempt: &dyn Fn(&Scenario, Journal) -> Report| {
        SCENARIOS.iter().any(|scenario| {
            let without = Scenario {
                without: Some(protection),
                ..*scenario
            };
            let attempt = |journal| {
                let attempt = AssertUnwindSafe(|| attempt(&without, journal));
                catch_unwind(attempt).is_err()
            };
            attempt(Journal::None) || attempt(Journal::Names)
        })
    };
    breaks(&|scenario, journal| crashes(scenario, journal, WAYS_MAX, SEED))
        || breaks(&|scenario, journal| faults(scenario, journal, CRASHES_MORE, SEED))
}

#[test]
fn every_protection_that_is_taken_away_is_missed() {
    let all = PROTECTIONS.iter().copied();
    let not_missed: Vec<_> = all.filter(|protection| !is_missed(*protection)).collect();
    assert!(not_missed.is_empty(), "nobody misses {not_missed:?}");
}
