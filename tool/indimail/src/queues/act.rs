//! `indimail queue hold`, `release`, `retry-now` and `delete`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use queue::{HoldTarget, Layout, Operator};
use serde::Serialize;
use wire::operator::{Answer, MESSAGES_MAX, Question};
use wire::trace::Kind;

use super::list::fits;
use super::progress::Progress;
use super::{House, NOT_RUNNING, Place, print_json};
use crate::Outcome;
use crate::print::say;

/// How long a message may be under a delivery, or between two processes,
/// before we say so instead of waiting.
const BUSY_MAX: Duration = Duration::from_secs(3);
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What to hold, and why.
#[derive(Args, Debug)]
pub struct Hold {
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    targets: Targets,
}

/// What to hold or release.
#[derive(Args, Debug)]
pub struct Targets {
    /// A message number (QUEUE/NUMBER when several queues have it), local or
    /// remote for a channel, @DOMAIN for recipients there, @.DOMAIN for those
    /// below it
    #[arg(value_name = "WHAT", required = true)]
    targets: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Messages by number or by what they are.
#[derive(Args, Debug)]
pub struct Chosen {
    /// Number of a message, as QUEUE/NUMBER when several queues have it
    #[arg(value_name = "MESSAGE", required_unless_present_any = ["from", "to", "all"])]
    messages: Vec<String>,
    /// All messages from this sender; * and ? stand for anything
    #[arg(long, value_name = "PATTERN")]
    from: Option<String>,
    /// All messages with such a recipient left
    #[arg(long, value_name = "PATTERN")]
    to: Option<String>,
    /// All messages
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// What was done with something, for programs.
#[derive(Debug, Serialize)]
struct Done {
    queue: String,
    what: String,
    result: &'static str,
}

/// Prints what was done; exit code 1 when something was not.
fn conclude(done: &[Done], is_good: bool, json: bool) -> Outcome {
    if json {
        print_json(&done)?;
    } else {
        for Done {
            queue,
            what,
            result,
        } in done
        {
            say!("{queue}/{what}: {result}");
        }
    }
    Ok(match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Holds things.
pub fn hold(hold: &Hold) -> Outcome {
    change(&hold.targets, |layout, target| {
        if !layout.root().join("hold").is_dir() {
            let root = layout.root().display();
            return Err(std::io::Error::other(format!(
                "{root} has no directory hold; queue-fix makes it, or a start of qmail-send"
            )));
        }
        Ok(match queue::put_hold(layout, target, &hold.reason)? {
            true => "held",
            false => "was held already",
        })
    })
}

/// Lets things go.
pub fn release(targets: &Targets) -> Outcome {
    change(targets, |layout, target| {
        Ok(match queue::release_hold(layout, target)? {
            true => "released",
            false => "was not held",
        })
    })
}

fn change(
    targets: &Targets,
    act: impl Fn(&Layout, &HoldTarget) -> std::io::Result<&'static str>,
) -> Outcome {
    let house = House::open(targets.place.root.as_deref())?;
    let mut done = Vec::new();
    let mut wanted = Vec::new();
    for text in &targets.targets {
        let is_number = text
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .parse::<u64>()
            .is_ok();
        if is_number && !text.starts_with('@') {
            let (layout, stored) = house.message(text)?;
            wanted.push((layout, HoldTarget::Message(stored.id)));
        } else {
            let target = HoldTarget::parse(text)?;
            wanted.extend(house.queues.iter().map(|layout| (layout, target.clone())));
        }
    }
    for (layout, target) in &wanted {
        done.push(Done {
            queue: layout.name(),
            what: target.to_string(),
            result: act(layout, target)?,
        });
    }
    let touched: BTreeSet<String> = wanted.iter().map(|(layout, _)| layout.name()).collect();
    for layout in house.queues.iter().filter(|l| touched.contains(&l.name())) {
        match Operator::connect(layout)? {
            Some(mut operator) => {
                operator.ask(&Question::Holds)?;
            }
            None => eprintln!("indimail: {}: {NOT_RUNNING}", layout.name()),
        }
    }
    conclude(&done, true, targets.place.json)
}

/// Messages of a queue.
type OfQueue<'a> = (&'a Layout, BTreeSet<u64>);

/// The chosen messages of each queue.
fn chosen<'a>(
    house: &'a House,
    chosen: &Chosen,
) -> Result<Vec<OfQueue<'a>>, Box<dyn std::error::Error>> {
    let mut by_queue: Vec<(&Layout, BTreeSet<u64>)> = house
        .queues
        .iter()
        .map(|layout| (layout, BTreeSet::new()))
        .collect();
    for wanted in &chosen.messages {
        let (layout, stored) = house.message(wanted)?;
        let same = by_queue.iter_mut().find(|(other, _)| *other == layout);
        if let Some((_, ids)) = same {
            ids.insert(stored.id);
        }
    }
    if chosen.all || chosen.from.is_some() || chosen.to.is_some() {
        for (layout, ids) in &mut by_queue {
            let numbers = queue::stored_numbers(layout)?;
            let mut progress = Progress::new("reading", numbers.len());
            for id in numbers {
                progress.step();
                if let Ok(Some(stored)) = queue::read_stored(layout, id)
                    && fits(&stored, chosen.from.as_deref(), chosen.to.as_deref())
                {
                    ids.insert(id);
                }
            }
        }
    }
    by_queue.retain(|(_, ids)| !ids.is_empty());
    Ok(by_queue)
}

/// Makes messages due now.
pub fn retry(wanted: &Chosen) -> Outcome {
    let house = House::open(wanted.place.root.as_deref())?;
    let (mut done, mut is_good) = (Vec::new(), true);
    for (layout, ids) in chosen(&house, wanted)? {
        let holds = queue::holds(layout)?;
        let operator = Operator::connect(layout)?;
        let Some(mut operator) = operator else {
            eprintln!("indimail: {}: {NOT_RUNNING}", layout.name());
            is_good = false;
            continue;
        };
        let all: Vec<u64> = ids.iter().copied().collect();
        let mut progress = Progress::new("retrying", all.len());
        for some in all.chunks(MESSAGES_MAX) {
            some.iter().for_each(|_| progress.step());
            // A message may be between qmail-send and qmail-todo.
            ask_until(&mut operator, &Question::Retry(some.to_vec()), |answer| {
                *answer != Answer::Retried(some.len() as u64)
            })?;
        }
        done.extend(ids.iter().map(|id| {
            let is_held = holds.iter().any(|h| h.target == HoldTarget::Message(*id));
            Done {
                queue: layout.name(),
                what: id.to_string(),
                result: if is_held {
                    "due now, but held"
                } else {
                    "due now"
                },
            }
        }));
    }
    if done.is_empty() && is_good {
        eprintln!("indimail: no such message");
        is_good = false;
    }
    conclude(&done, is_good, wanted.place.json)
}

/// Asks again while the answer says so, for a moment.
fn ask_until(
    operator: &mut Operator,
    question: &Question,
    again: impl Fn(&Answer) -> bool,
) -> Result<Answer, queue::OperatorError> {
    let until = Instant::now() + BUSY_MAX;
    loop {
        let answer = operator.ask(question)?;
        if !again(&answer) || until < Instant::now() {
            return Ok(answer);
        }
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// Removes messages.
pub fn delete(wanted: &Chosen) -> Outcome {
    let house = House::open(wanted.place.root.as_deref())?;
    let (mut done, mut is_good) = (Vec::new(), true);
    for (layout, ids) in chosen(&house, wanted)? {
        let mut way = Way::find(layout)?;
        let mut progress = Progress::new("deleting", ids.len());
        for id in ids {
            progress.step();
            let result = delete_one(&house, layout, &mut way, id)?;
            is_good &= result.is_gone();
            done.push(Done {
                queue: layout.name(),
                what: id.to_string(),
                result: result.words(),
            });
        }
    }
    if done.is_empty() {
        eprintln!("indimail: no such message");
        is_good = false;
    }
    conclude(&done, is_good, wanted.place.json)
}

enum Deleted {
    Yes,
    Gone,
    Busy,
    Unsorted,
}

impl Deleted {
    fn is_gone(&self) -> bool {
        matches!(self, Self::Yes | Self::Gone)
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Yes => "deleted",
            Self::Gone => "left the queue meanwhile",
            Self::Busy => "is being delivered right now; hold it, then delete it",
            Self::Unsorted => "is not preprocessed yet; try again in a moment",
        }
    }
}

/// How messages of a queue are removed.
enum Way {
    /// qmail-send does it.
    Ask(Operator),
    /// None runs, and none can start.
    Alone(os::file::Lock),
}

impl Way {
    fn find(layout: &Layout) -> Result<Self, Box<dyn std::error::Error>> {
        if let Some(operator) = Operator::connect(layout)? {
            return Ok(Self::Ask(operator));
        }
        let lock = queue::lock_out_senders(layout)?.ok_or_else(|| {
            let root = layout.root().display();
            format!(
                "a qmail-send that cannot be asked runs on {root}; stop it, or restart it so that \
                 it makes hold/socket"
            )
        })?;
        Ok(Self::Alone(lock))
    }
}

fn delete_one(
    house: &House,
    layout: &Layout,
    way: &mut Way,
    id: u64,
) -> Result<Deleted, Box<dyn std::error::Error>> {
    let lock = match way {
        Way::Ask(operator) => {
            let answer = ask_until(operator, &Question::Delete(id), |answer| {
                *answer == Answer::Busy || (*answer == Answer::Unknown && exists(layout, id))
            })?;
            return Ok(match answer {
                Answer::Deleted => Deleted::Yes,
                Answer::Busy => Deleted::Busy,
                _ if exists(layout, id) => Deleted::Unsorted,
                _ => Deleted::Gone,
            });
        }
        Way::Alone(lock) => lock,
    };
    let trace = queue::read_stored(layout, id)?.and_then(|stored| stored.trace);
    if !queue::remove_message(layout, id, lock)? {
        return Ok(Deleted::Gone);
    }
    if let Some(trace) = trace {
        let tracer = run::Tracer::connect(&house.home, "indimail");
        for kind in [Kind::Discarded, Kind::Ended] {
            let mut event = tracer.event(trace, kind);
            event.queue = Some(layout.name());
            event.message = Some(id);
            let uid = os::account::real_uid();
            event.text = (kind == Kind::Discarded).then(|| format!("deleted by uid {uid}"));
            tracer.send(&event);
        }
    }
    Ok(Deleted::Yes)
}

fn exists(layout: &Layout, id: u64) -> bool {
    layout.todo(id).exists() || layout.info(id).exists()
}
