//! The mail system in one thread, on the model.
//!
//! Steps and their order are those of the programs: `take` is qmail-queue,
//! `scan` and `preprocess` qmail-todo, `steps` and what it calls qmail-send,
//! `clean` qmail-clean, `attempt` qmail-local and qmail-remote.

mod deliveries;
mod send;
mod todo;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use address::Routing;
use queue::{Durability, EnvelopeHead, Error, Layout, Outcomes, Writer};
use schedule::{Channel, JobEnd, JobId, Scheduler};
use wire::todo::{PutBack, Single};

use crate::check::Fact;
use crate::model::Model;
pub(crate) use deliveries::BOUNCE_END;
use send::OpenMessage;

/// Where the queue is.
pub(crate) const QUEUE: &str = "/queue";
/// Split of the queue; small, so that a start looks at few directories.
const SPLIT: u64 = 2;
/// Deliveries at once on each channel.
const CONCURRENCY: usize = 2;
/// Turns of the loop after which a queue counts as stuck.
const TURNS_MAX: usize = 2_000;
/// After this, what belongs to nobody is swept.
const OSSIFIED_SECONDS: i64 = 129_600;
/// A message that made trouble is left alone this long.
const TROUBLE_SECONDS: i64 = 123;

/// A delivery that was started.
struct Running {
    channel: Channel,
    slot: u16,
    id: u64,
    sender: Vec<u8>,
    recipient: Vec<u8>,
}

/// Everything that runs between two crashes.
pub struct Engine {
    model: Model,
    layout: Layout,
    routing: Routing,
    writer: Writer<Model>,
    scheduler: Scheduler,
    is_first_scan: bool,
    /// May messages with one recipient be told instead of written?
    tells_singles: bool,
    troubled: BTreeMap<u64, (i64, Option<PutBack>)>,
    told: BTreeSet<u64>,
    singles: BTreeMap<u64, Single>,
    outcomes: Outcomes<Model>,
    /// Jobs that ended in this turn.
    closed: Vec<(Channel, u64, JobEnd)>,
    open: BTreeMap<JobId, OpenMessage>,
    running: VecDeque<Running>,
    facts: Vec<(usize, Fact)>,
}

impl Engine {
    /// Starts on what the disk holds.
    pub fn start(model: &Model, tells_singles: bool) -> Self {
        let layout = Layout::with_split(QUEUE, SPLIT, false);
        let lines = |text: &[u8]| vec![text.to_vec()];
        let mut new = Self {
            writer: Writer::new(layout.clone(), model.clone(), Durability::default()),
            model: model.clone(),
            routing: Routing::new(b"h", &[], &lines(b"h"), &[]),
            scheduler: Scheduler::new([CONCURRENCY; 2]),
            is_first_scan: true,
            tells_singles,
            troubled: BTreeMap::new(),
            told: BTreeSet::new(),
            singles: BTreeMap::new(),
            outcomes: Outcomes::new(model.clone(), layout.clone()),
            layout,
            closed: Vec::new(),
            open: BTreeMap::new(),
            running: VecDeque::new(),
            facts: Vec::new(),
        };
        // A start scans, whether somebody asks for it or not.
        queue::FileSystem::pull_trigger(model, &new.layout.lock("trigger"));
        queue::load(model, &new.layout, &mut new.scheduler, model.now());
        new
    }

    /// Takes a message; on success it is the engine's for ever.
    pub fn take(&mut self, sender: &str, recipients: &[&str], text: &str) -> Result<(), Error> {
        self.inject(sender.as_bytes(), recipients, text.as_bytes())?;
        self.fact(Fact::Accepted {
            text: text.to_owned(),
            recipients: recipients.iter().map(|&r| r.to_owned()).collect(),
        });
        Ok(())
    }

    /// Two messages at once, step by step in turns.
    pub fn take_two(&mut self, one: (&str, &[&str], &str), other: (&str, &[&str], &str)) {
        let accepted = {
            let begin = |message: (&str, &[&str], &str)| -> Result<_, Error> {
                let mut text = self.writer.begin()?;
                text.write(message.2.as_bytes())?;
                Ok(text)
            };
            let texts = [begin(one), begin(other)];
            let envelopes = texts.into_iter().zip([one, other]).map(|(text, message)| {
                let mut envelope = text?.envelope(head(message.0.as_bytes()))?;
                message
                    .1
                    .iter()
                    .try_for_each(|recipient| envelope.add(recipient.as_bytes()))?;
                Ok::<_, Error>(envelope)
            });
            let envelopes: Vec<_> = envelopes.collect();
            envelopes
                .into_iter()
                .map(|e| e?.commit(b"", b"").map(drop))
                .collect::<Vec<_>>()
        };
        for (result, message) in accepted.into_iter().zip([one, other]) {
            if result.is_ok() {
                self.fact(Fact::Accepted {
                    text: message.2.to_owned(),
                    recipients: message.1.iter().map(|&r| r.to_owned()).collect(),
                });
            }
        }
    }

    /// Begins a message that its sender gives up.
    pub fn give_up(&mut self, sender: &str, recipient: &str, text: &str) -> Result<(), Error> {
        let mut message = self.writer.begin()?;
        message.write(text.as_bytes())?;
        let mut envelope = message.envelope(head(sender.as_bytes()))?;
        envelope.add(recipient.as_bytes())
    }

    /// Works until nothing is left to do, letting time pass; says whether
    /// that was so.
    pub fn run(&mut self) -> bool {
        for _ in 0..TURNS_MAX {
            if self.model.take_trigger() || self.trouble_until() <= self.model.now() {
                self.scan();
            }
            self.steps();
            self.act_on_the_record();
            self.deliver_all();
            if self.model.is_triggered() {
                continue;
            }
            let wake = self.scheduler.wake_at().unwrap_or(i64::MAX);
            match wake.min(self.trouble_until()) {
                i64::MAX => return true,
                time => self.model.wait_until(time),
            }
        }
        false
    }

    /// Sweeps what belongs to nobody, after a long time.
    pub fn sweep(&mut self) {
        let later = self.model.now() + OSSIFIED_SECONDS + 1;
        self.model.wait_until(later);
        self.sweep_texts();
        self.sweep_abandoned();
    }

    /// What happened that matters, and how many changes of the disk came
    /// before each.
    pub fn facts(&self) -> &[(usize, Fact)] {
        &self.facts
    }

    fn inject(&self, sender: &[u8], recipients: &[&str], text: &[u8]) -> Result<(), Error> {
        let mut message = self.writer.begin()?;
        message.write(text)?;
        let mut envelope = message.envelope(head(sender))?;
        for recipient in recipients {
            envelope.add(recipient.as_bytes())?;
        }
        envelope.commit(b"", b"").map(drop)
    }

    fn fact(&mut self, fact: Fact) {
        self.facts.push((self.model.happened(), fact));
    }

    fn trouble_until(&self) -> i64 {
        let until = self.troubled.values().map(|(until, _)| *until);
        until.min().unwrap_or(i64::MAX)
    }
}

fn head(sender: &[u8]) -> EnvelopeHead<'_> {
    EnvelopeHead {
        uid: 7,
        pid: 8,
        sender,
    }
}
