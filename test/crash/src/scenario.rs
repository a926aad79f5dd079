//! What happens before the power goes.

use crate::log::Journal;
use crate::model::Tree;
use crate::protection::Protection;
use crate::{Engine, Model};

/// A message of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Envelope sender.
    pub sender: &'static str,
    /// Its recipients. The local part says what becomes of them: `bad` fails,
    /// `slow` is deferred at first, `forward` goes to `ann@h`, others are
    /// delivered. `h` is here, other hosts are remote.
    pub recipients: &'static [&'static str],
    /// Its text.
    pub text: &'static str,
}

/// How the messages come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Course {
    /// Each is taken when the one before is done with.
    OneByOne,
    /// All are taken, then the queue works.
    TogetherThenRun,
    /// Two are taken step by step in turns.
    Interleaved,
    /// The first is given up by its sender.
    FirstGivenUp,
}

/// One course of things.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What comes in.
    pub messages: &'static [Message],
    /// How.
    pub course: Course,
    /// Messages with one recipient are told to qmail-send instead of written.
    pub tells_singles: bool,
    /// The file system cannot make files without a name.
    pub has_names: bool,
    /// Threads share syncs, and finished files are written again.
    pub reuses_files: bool,
    /// What is taken away, to see that it is missed.
    pub without: Option<Protection>,
}

impl Scenario {
    /// The file system it happens on.
    pub fn model(&self, disk: Tree, now: i64, journal: Journal) -> Model {
        // As ext4 and XFS do it.
        let reuses_numbers = journal == Journal::Names;
        let model = Model::new(disk, now, reuses_numbers).without(self.without);
        match self.has_names {
            true => model.with_names(),
            false => model,
        }
    }

    /// The system starts on it.
    pub fn start(&self, model: &Model) -> Engine {
        if self.reuses_files {
            model.open_spares();
        }
        Engine::start(model, self.tells_singles)
    }

    /// Lets it happen; says whether the queue came to rest.
    pub fn play(&self, engine: &mut Engine) -> bool {
        let take = |engine: &mut Engine, message: &Message| {
            // Refused is refused; the check looks at what was accepted.
            let _ = engine.take(message.sender, message.recipients, message.text);
        };
        match (self.course, self.messages) {
            (Course::OneByOne, messages) => messages.iter().all(|message| {
                take(engine, message);
                engine.run()
            }),
            (Course::Interleaved, [one, other]) => {
                let parts = |m: &Message| (m.sender, m.recipients, m.text);
                engine.take_two(parts(one), parts(other));
                engine.run()
            }
            (Course::FirstGivenUp, [first, rest @ ..]) => {
                let _ = engine.give_up(first.sender, first.recipients[0], first.text);
                rest.iter().for_each(|message| take(engine, message));
                engine.run()
            }
            (_, messages) => {
                messages.iter().for_each(|message| take(engine, message));
                engine.run()
            }
        }
    }
}

const fn message(
    sender: &'static str,
    recipients: &'static [&'static str],
    text: &'static str,
) -> Message {
    Message {
        sender,
        recipients,
        text,
    }
}

const ONE: &str = "Subject: one\n\nThe first text.\n-- end of one\n";
const TWO: &str = "Subject: two\n\nAnother text, somewhat longer.\n-- end of two\n";
const THREE: &str = "Subject: three\n\nThe third.\n-- end of three\n";
const FOUR: &str = "Subject: four\n\nNo. 4, a text of the usual length.\n-- end of four\n";

const fn scenario(name: &'static str, messages: &'static [Message]) -> Scenario {
    Scenario {
        name,
        messages,
        course: Course::OneByOne,
        tells_singles: true,
        has_names: false,
        reuses_files: false,
        without: None,
    }
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    scenario("one recipient, told", &[message("sam@h", &["ann@h"], ONE)]),
    Scenario {
        tells_singles: false,
        ..scenario(
            "one recipient, written",
            &[message("sam@h", &["ann@h"], ONE)],
        )
    },
    scenario(
        "several recipients",
        &[message("sam@h", &["ann@h", "rob@r", "bob@h", "ray@r"], ONE)],
    ),
    Scenario {
        has_names: true,
        ..scenario(
            "several recipients, files with names",
            &[message("sam@h", &["ann@h", "rob@r", "bob@h"], ONE)],
        )
    },
    scenario(
        "put back after a deferral",
        &[message("sam@h", &["slow@h"], ONE)],
    ),
    scenario(
        "some deferred",
        &[message("sam@h", &["slow@h", "ann@h", "slow@r"], ONE)],
    ),
    scenario("a failure", &[message("sam@h", &["bad@h"], ONE)]),
    scenario(
        "failures among others",
        &[message(
            "sam@h",
            &["bad@h", "ann@h", "bad@r", "slow@h"],
            ONE,
        )],
    ),
    scenario(
        "a bounce that bounces",
        &[message("badsam@h", &["bad@h"], ONE)],
    ),
    Scenario {
        course: Course::Interleaved,
        ..scenario(
            "two at once",
            &[
                message("sam@h", &["ann@h"], ONE),
                message("sam@h", &["bob@h", "rob@r"], TWO),
            ],
        )
    },
    scenario(
        "two in a row",
        &[
            message("sam@h", &["ann@h", "rob@r"], ONE),
            message("sam@h", &["bob@h", "ray@r"], TWO),
        ],
    ),
    scenario(
        "told after written",
        &[
            message("sam@h", &["ann@h", "bad@h"], ONE),
            message("sam@h", &["bob@h"], TWO),
        ],
    ),
    Scenario {
        course: Course::FirstGivenUp,
        ..scenario(
            "one given up",
            &[
                message("sam@h", &["eve@h"], ONE),
                message("sam@h", &["ann@h"], TWO),
            ],
        )
    },
    Scenario {
        course: Course::FirstGivenUp,
        has_names: true,
        ..scenario(
            "one given up, files with names",
            &[
                message("sam@h", &["eve@h"], ONE),
                message("sam@h", &["ann@h"], TWO),
            ],
        )
    },
    Scenario {
        reuses_files: true,
        ..scenario(
            "files written again",
            &[
                message("sam@h", &["ann@h"], TWO),
                message("sam@h", &["bob@h"], ONE),
                message("sam@h", &["cat@h"], THREE),
                message("sam@h", &["dan@h"], FOUR),
            ],
        )
    },
    Scenario {
        reuses_files: true,
        has_names: true,
        ..scenario(
            "files written again for several recipients",
            &[
                message("sam@h", &["ann@h", "rob@r"], THREE),
                message("sam@h", &["bob@h"], TWO),
                message("sam@h", &["cat@h", "bad@h"], ONE),
            ],
        )
    },
    Scenario {
        reuses_files: true,
        course: Course::FirstGivenUp,
        ..scenario(
            "files written again after one was given up",
            &[
                message("sam@h", &["eve@h"], TWO),
                message("sam@h", &["ann@h"], ONE),
                message("sam@h", &["slow@h"], THREE),
                message("sam@h", &["bob@h"], FOUR),
            ],
        )
    },
    scenario("a forward", &[message("sam@h", &["forward@h"], ONE)]),
    scenario(
        "a forward among others",
        &[message("sam@h", &["forward@h", "bob@h"], ONE)],
    ),
    Scenario {
        course: Course::TogetherThenRun,
        tells_singles: false,
        ..scenario(
            "three synced as one",
            &[
                message("sam@h", &["ann@h"], ONE),
                message("sam@h", &["bob@h"], TWO),
                message("sam@h", &["bad@r"], THREE),
            ],
        )
    },
];
