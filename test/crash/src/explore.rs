//! Every moment, and every way it can go.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use nix::libc::{EIO, ENOSPC};

use crate::check::{Fact, Refused, check, delivered_and_whole, empty};
use crate::log::{Choices, Journal, Log};
use crate::model::{Effect, Fault, Tree};
use crate::scenario::Scenario;

/// When scenarios begin, Unix time.
const BIRTH: i64 = 1_000_000;
/// One of this many disks crashes again while it recovers.
const AGAIN: u64 = 4;

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Moments at which the power went.
    pub moments: usize,
    /// Disks that were different, or about which more was known.
    pub states: usize,
    /// Of these, crashes during the recovery from another.
    pub again: usize,
    /// Moments at which not every way was tried.
    pub sampled: usize,
    /// Operations that were made to fail.
    pub faults: usize,
}

impl Report {
    /// Counts what another tried too.
    pub fn add(&mut self, other: Self) {
        self.moments += other.moments;
        self.states += other.states;
        self.again += other.again;
        self.sampled += other.sampled;
        self.faults += other.faults;
    }
}

/// A generator of numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// Plays a scenario, and cuts the power at every moment of it, with at most
/// `ways_max` outcomes each; all of them when there are no more.
///
/// # Panics
/// When a promise is broken; the message says by which disk.
pub fn crashes(scenario: &Scenario, journal: Journal, ways_max: usize, seed: u64) -> Report {
    let model = scenario.model(Tree::default(), BIRTH, journal);
    let mut engine = scenario.start(&model);
    assert!(scenario.play(&mut engine), "{}: stuck", scenario.name);
    let mut explorer = Explorer {
        scenario,
        journal,
        refused: Refused::AllOrNone,
        numbers: Numbers(seed | 1),
        seen: HashSet::new(),
        report: Report::default(),
    };
    explorer.every_moment(
        &Tree::default(),
        &model.effects(),
        &model.times(),
        engine.facts(),
        ways_max,
    );
    explorer.report
}

/// Plays a scenario and lets each of its operations fail: alone where nothing
/// is promised of names, or with some that follow where a journal keeps them.
/// What was accepted must arrive all the same, with a power cut in between
/// too.
///
/// # Panics
/// When a promise is broken.
pub fn faults(scenario: &Scenario, journal: Journal, crashes_each: usize, seed: u64) -> Report {
    let healthy = scenario.model(Tree::default(), BIRTH, journal);
    scenario.play(&mut scenario.start(&healthy));
    let mut explorer = Explorer {
        scenario,
        journal,
        refused: Refused::Some,
        numbers: Numbers(seed | 1),
        seen: HashSet::new(),
        report: Report::default(),
    };
    for at in 0..healthy.operations() {
        let lengths: &[u64] = match journal {
            Journal::None => &[1],
            Journal::Names => &[1, 3, 20],
        };
        for (&operations, code) in lengths.iter().flat_map(|n| [(n, EIO), (n, ENOSPC)]) {
            let fault = Fault {
                at,
                operations,
                code,
            };
            explorer.with_fault(fault, crashes_each);
            explorer.report.faults += 1;
        }
    }
    explorer.report
}

struct Explorer<'a> {
    scenario: &'a Scenario,
    journal: Journal,
    refused: Refused,
    numbers: Numbers,
    seen: HashSet<u64>,
    report: Report,
}

impl Explorer<'_> {
    fn every_moment(
        &mut self,
        disk: &Tree,
        effects: &[Effect],
        times: &[i64],
        facts: &[(usize, Fact)],
        ways_max: usize,
    ) {
        let mut log = Log::new(disk.clone(), self.journal);
        for moment in 0..=effects.len() {
            if let Some(effect) = moment.checked_sub(1).map(|last| &effects[last]) {
                log.push(effect);
            }
            let now = moment.checked_sub(1).map_or(BIRTH, |last| times[last]);
            let known = known(facts, moment);
            let choices = log.choices();
            self.report.moments += 1;
            for way in self.ways(&choices, ways_max) {
                let disk = log.disk(&choices, &way);
                self.crash(&disk, &known, now, moment);
            }
        }
    }

    /// All ways, or the extreme ones and others by chance.
    fn ways(&mut self, choices: &Choices, ways_max: usize) -> Vec<Vec<usize>> {
        let sizes = choices.ways();
        let all = sizes
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size));
        if let Some(all) = all.filter(|all| *all <= ways_max) {
            let nth = |mut number: usize| {
                let digit = |size: &usize| {
                    let digit = number % size;
                    number /= size;
                    digit
                };
                sizes.iter().map(digit).collect()
            };
            return (0..all).map(nth).collect();
        }
        self.report.sampled += 1;
        let nothing = vec![0; sizes.len()];
        let everything = choices.everything();
        let mut ways = vec![nothing.clone(), everything.clone()];
        for at in 0..sizes.len() {
            for base in [&nothing, &everything] {
                for digit in 0..sizes[at] {
                    let mut way = base.clone();
                    way[at] = digit;
                    ways.push(way);
                }
            }
        }
        while ways.len() < ways_max {
            ways.push(self.any_way(choices));
        }
        ways
    }

    fn any_way(&mut self, choices: &Choices) -> Vec<usize> {
        let sizes = choices.ways();
        sizes.iter().map(|size| self.numbers.below(*size)).collect()
    }

    fn crash(&mut self, disk: &Tree, known: &[Fact], now: i64, moment: usize) {
        if !self.is_new(disk, known) {
            return;
        }
        let recovered = match check(self.scenario, disk, known, now, self.journal, self.refused) {
            Ok(recovered) => recovered,
            Err(broken) => self.fail(disk, known, moment, &broken.0),
        };
        if self.numbers.below(AGAIN as usize) != 0 || recovered.effects.is_empty() {
            return;
        }
        let again = 1 + self.numbers.below(recovered.effects.len());
        let mut log = Log::new(disk.clone(), self.journal);
        recovered.effects[..again]
            .iter()
            .for_each(|effect| log.push(effect));
        let choices = log.choices();
        let way = self.any_way(&choices);
        let disk = log.disk(&choices, &way);
        let known = self::known(&recovered.facts, again);
        if self.is_new(&disk, &known) {
            self.report.again += 1;
            let now = recovered.times[again - 1];
            if let Err(broken) = check(
                self.scenario,
                &disk,
                &known,
                now,
                self.journal,
                self.refused,
            ) {
                self.fail(&disk, &known, moment, &broken.0);
            }
        }
    }

    fn is_new(&mut self, disk: &Tree, known: &[Fact]) -> bool {
        let mut hasher = DefaultHasher::new();
        // What is spare is removed before anything else happens.
        let (mut disk, is_spare) = (disk.clone(), |name: &str| name.starts_with("/queue/spare/"));
        disk.names.retain(|name, _| !is_spare(name));
        disk.forget_unnamed();
        (disk, known).hash(&mut hasher);
        let is_new = self.seen.insert(hasher.finish());
        self.report.states += usize::from(is_new);
        is_new
    }

    fn with_fault(&mut self, fault: Fault, crashes: usize) {
        let scenario = self.scenario;
        let model = scenario.model(Tree::default(), BIRTH, self.journal);
        let model = model.with_fault(Some(fault));
        let mut engine = scenario.start(&model);
        let came_to_rest = scenario.play(&mut engine);
        let facts = engine.facts().to_vec();
        let all = known(&facts, usize::MAX);
        let tree = model.tree();
        let (effects, times) = (model.effects(), model.times());
        let what = |text: &str| format!("{fault:?}: {text}");
        if !came_to_rest {
            self.fail(
                &tree,
                &all,
                effects.len(),
                &what("the queue never comes to rest"),
            );
        }
        if let Err(broken) = delivered_and_whole(scenario, &tree, &all, self.refused) {
            self.fail(&tree, &all, effects.len(), &what(&broken.0));
        }
        let model = model.with_fault(None);
        engine.sweep();
        let mut engine = scenario.start(&model);
        engine.run();
        engine.sweep();
        scenario.start(&model).run();
        if let Err(broken) = empty(&model.tree()) {
            self.fail(&model.tree(), &all, effects.len(), &what(&broken.0));
        }
        for _ in 0..crashes {
            let moment = self.numbers.below(effects.len() + 1);
            let mut log = Log::new(Tree::default(), self.journal);
            effects[..moment].iter().for_each(|effect| log.push(effect));
            let choices = log.choices();
            let way = self.any_way(&choices);
            let disk = log.disk(&choices, &way);
            let now = moment.checked_sub(1).map_or(BIRTH, |last| times[last]);
            self.crash(&disk, &known(&facts, moment), now, moment);
        }
    }

    fn fail(&self, disk: &Tree, known: &[Fact], moment: usize, text: &str) -> ! {
        let mut held = String::new();
        for (name, file) in &disk.names {
            let content = &disk.files[file];
            held += &format!(
                "  {name} (inode {}): {:?}\n",
                content.number,
                String::from_utf8_lossy(&content.bytes)
            );
        }
        panic!(
            "{} with {:?}: {text}\nafter change {moment}; known: {known:#?}\ndisk:\n{held}",
            self.scenario.name, self.journal
        );
    }
}

/// What is known at a moment.
fn known(facts: &[(usize, Fact)], moment: usize) -> Vec<Fact> {
    let known = facts.iter().filter(|(before, _)| *before <= moment);
    known.map(|(_, fact)| fact.clone()).collect()
}
