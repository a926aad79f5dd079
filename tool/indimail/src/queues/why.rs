//! `indimail queue why`: when each waiting recipient is tried next, by which
//! rule, and what the last answer was.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use queue::{Hold, HoldTarget, Layout, List, Operator, Stored, StoredRecipient, Tcpto};
use schedule::{Channel, Holds};
use serde::Serialize;
use settings::sending::{BOUNCELIFETIME, HOLDLOCAL, HOLDREMOTE, QUEUELIFETIME};
use wire::operator::{Answer, Lane, Place, Question, Standing};
use wire::trace::{Event, Kind, TraceId};

use super::paint::{Tone, duration, moment, tone};
use super::rule::{self, Rule};
use super::{House, Messages, NOT_RUNNING};
use crate::Outcome;
use crate::print::{Listing, say};

/// Recipients a person is told of, one by one.
const RECIPIENTS_SHOWN_MAX: usize = 100;
/// A host is left alone for up to this long after two failures: the penalty
/// of an hour and the spread over processes.
const DOWN_SECONDS_MAX: i64 = 5824;

/// What is said of a recipient.
#[derive(Debug, Serialize)]
struct Why {
    channel: String,
    recipient: String,
    /// One word for programs.
    state: &'static str,
    /// When it is tried next, if that is known.
    next: Option<i64>,
    /// The rule, in words.
    rule: String,
    /// The last answer.
    last: Option<Last>,
    /// Further things that keep it, or will end it.
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Last {
    time: i64,
    result: &'static str,
    words: String,
}

/// What is said of a message.
#[derive(Debug, Serialize)]
struct Told {
    queue: String,
    message: u64,
    sender: String,
    queued: i64,
    recipients: Vec<Why>,
    /// About the message as a whole.
    notes: Vec<String>,
}

/// Everything that decides about a queue.
struct Facts<'a> {
    layout: &'a Layout,
    now: i64,
    is_running: bool,
    lanes: [Option<Lane>; 2],
    holds: Vec<Hold>,
    /// The control files hold a channel.
    held_by_control: [bool; 2],
    lifetime: [i64; 2],
    tcpto: Option<Tcpto>,
}

/// Explains messages.
pub fn run(messages: &Messages) -> Outcome {
    let house = House::open(messages.place.root.as_deref())?;
    let found: Vec<(&Layout, Stored)> = messages
        .messages
        .iter()
        .map(|wanted| house.message(wanted))
        .collect::<Result<_, _>>()?;
    let answers = last_answers(&house, found.iter().filter_map(|(_, stored)| stored.trace));
    let none = Answers::new();
    let mut listing = Listing::new(messages.place.json);
    for (layout, stored) in &found {
        let mut operator = Operator::connect(layout)?;
        let mut standing = Standing::default();
        let mut lanes = [None, None];
        if let Some(operator) = &mut operator {
            if let Answer::Message(found) = operator.ask(&Question::Message(stored.id))? {
                standing = found;
            }
            if let Answer::Status(found) = operator.ask(&Question::Status)? {
                lanes = found.map(Some);
            }
        }
        let facts = Facts {
            layout,
            now: os::clock::unix_seconds(),
            is_running: operator.is_some(),
            lanes,
            holds: queue::holds(layout)?,
            held_by_control: held_by_control(&house)?,
            lifetime: lifetimes(&house)?,
            tcpto: Tcpto::read(layout).ok(),
        };
        let answers = stored.trace.and_then(|trace| answers.get(&trace));
        let told = facts.told(stored, &standing, answers.unwrap_or(&none));
        match messages.place.json {
            true => listing.push(&told, |_| String::new())?,
            false => print(&told, facts.now),
        }
    }
    listing.finish()?;
    Ok(std::process::ExitCode::SUCCESS)
}

fn held_by_control(house: &House) -> Result<[bool; 2], run::SettingError> {
    Ok([
        house.settings.integer(&HOLDLOCAL)? != 0,
        house.settings.integer(&HOLDREMOTE)? != 0,
    ])
}

/// Of ordinary messages and of bounces.
fn lifetimes(house: &House) -> Result<[i64; 2], run::SettingError> {
    let all = house.settings.integer(&QUEUELIFETIME)?.max(0);
    let bounces = match house.settings.is_set(&BOUNCELIFETIME)? {
        true => house.settings.integer(&BOUNCELIFETIME)?.clamp(0, all),
        false => all,
    };
    Ok([all, bounces])
}

/// The last answer to each recipient of a message.
type Answers = BTreeMap<String, Last>;

/// The last answers about some messages, from one reading of the trace log.
fn last_answers(house: &House, traces: impl Iterator<Item = TraceId>) -> HashMap<TraceId, Answers> {
    let mut all: HashMap<TraceId, Answers> = traces.map(|id| (id, Answers::new())).collect();
    if all.is_empty() {
        return all;
    }
    // Without the log the rest can still be told.
    let _ = run::story::visit(&house.home, &mut |event| {
        if let (Some(answers), Some(last)) = (all.get_mut(&event.trace), last(&event)) {
            for recipient in event.recipients {
                answers.insert(recipient, last.clone());
            }
        }
    });
    all
}

fn last(event: &Event) -> Option<Last> {
    let result = match event.kind {
        Kind::Deferred => "put off",
        Kind::Failed => "refused for good",
        Kind::Delivered => "delivered",
        _ => return None,
    };
    let words = event.text.as_deref().unwrap_or("nothing was said");
    Some(Last {
        time: event.time as i64,
        result,
        words: text::log::printable(words.trim().as_bytes(), 1000),
    })
}

impl Facts<'_> {
    fn told(&self, stored: &Stored, standing: &Standing, answers: &Answers) -> Told {
        let mut notes = Vec::new();
        if !self.is_running {
            notes.push(NOT_RUNNING.to_owned());
        }
        if stored.is_bouncing {
            notes.push(
                "some recipients failed: the sender is told when all the others are done"
                    .to_owned(),
            );
        }
        if let Some(due) = standing.finishing {
            let when = moment(due, self.now);
            notes.push(format!(
                "no recipient is left: it is bounced or removed at {when}"
            ));
        }
        let left = stored.recipients.iter().filter(|r| !r.is_done);
        Told {
            queue: self.layout.name(),
            message: stored.id,
            sender: text::log::printable(&stored.sender, usize::MAX),
            queued: stored.birth,
            recipients: left
                .map(|recipient| self.why(stored, standing, recipient, answers))
                .collect(),
            notes,
        }
    }

    fn why(
        &self,
        stored: &Stored,
        standing: &Standing,
        recipient: &StoredRecipient,
        answers: &Answers,
    ) -> Why {
        let channel = match recipient.list {
            List::Local => Some(Channel::Local),
            List::Remote => Some(Channel::Remote),
            // In its first try it is on one channel only.
            List::Todo => Channel::ALL
                .into_iter()
                .find(|channel| standing.channels[channel.index()].is_some()),
        };
        let address = match (recipient.list, &standing.single) {
            (List::Todo, Some(single)) => single,
            _ => &recipient.address,
        };
        let last = answers.get(&text::log::safe(address)).cloned();
        let mut why = Why {
            channel: channel.map_or("todo".to_owned(), |channel| channel.name().to_owned()),
            recipient: text::log::printable(address, usize::MAX),
            state: "new",
            next: None,
            rule: "qmail-todo has not sorted it yet; it does so at once, or after todointerval, \
                   or, after trouble that its log tells, in a few minutes"
                .to_owned(),
            notes: Vec::new(),
            last,
        };
        if let Some(channel) = channel {
            self.schedule(stored, standing, channel, address, &mut why);
        }
        why
    }

    fn schedule(
        &self,
        stored: &Stored,
        standing: &Standing,
        channel: Channel,
        address: &[u8],
        why: &mut Why,
    ) {
        let at = channel.index();
        let known = standing.channels[at].clone();
        if let Some(Place::Running { recipients, next }) = &known {
            if recipients.iter().any(|running| running == address) {
                why.state = "running";
                why.rule = "it is being delivered right now".to_owned();
            } else {
                why.state = "pass";
                why.rule = "its message is being delivered right now; what is put off waits for \
                            the next time"
                    .to_owned();
            }
            why.next = Some(*next);
            return self.expiry(stored, *next, why);
        }
        let due = match known {
            Some(Place::Waiting { due } | Place::Held { due }) => Some(due),
            _ => stored.due[at],
        };
        why.next = due;
        if let Some(hold) = self.hold(stored.id, channel, address) {
            why.state = "held";
            why.next = None;
            why.rule = hold;
            why.notes
                .push("while it is held it is never given up".to_owned());
            return;
        }
        let Some(due) = due else {
            why.state = "unknown";
            why.rule = "qmail-send does not know it; queue-fix or a restart may".to_owned();
            return;
        };
        self.expiry(stored, due, why);
        self.down_host(channel, why);
        if self.now < due || !self.is_running {
            why.state = "waiting";
            why.rule = rule::of(channel, stored.birth, due).words();
            return;
        }
        why.state = "due";
        why.rule = match self.lanes[at] {
            Some(lane) if lane.limit == 0 => {
                format!("it is due, but concurrency{channel} is 0")
            }
            Some(lane) if lane.limit <= lane.running => format!(
                "it is due, but all {} deliveries that concurrency{channel} allows run; {} \
                 messages are due",
                lane.limit, lane.due
            ),
            _ => match rule::of(channel, stored.birth, due) {
                Rule::First => "it is due and starts at once".to_owned(),
                rule => format!("it is due and starts at once; {}", rule.words()),
            },
        };
    }

    /// What holds a recipient, in words.
    fn hold(&self, id: u64, channel: Channel, address: &[u8]) -> Option<String> {
        let words = |hold: &Hold| {
            let what = match &hold.target {
                HoldTarget::Message(_) => "the message is on hold".to_owned(),
                HoldTarget::Domain(domain) => format!("the domain {domain} is on hold"),
                _ => format!("the {channel} channel is on hold"),
            };
            let reason = match hold.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            let release = &hold.target;
            let since = moment(hold.since, self.now);
            format!("{what} since {since}{reason}; `indimail queue release {release}` lets it go")
        };
        let domains = self.holds.iter().filter_map(|hold| match &hold.target {
            HoldTarget::Domain(domain) => Some(domain.clone().into_bytes()),
            _ => None,
        });
        let domains = Holds {
            domains: domains.collect(),
            ..Holds::default()
        };
        let domain = domains.domain_of(address);
        let of_channel = match channel {
            Channel::Local => HoldTarget::Local,
            Channel::Remote => HoldTarget::Remote,
        };
        let mut holds = self.holds.iter();
        let found = holds.find(|hold| match &hold.target {
            HoldTarget::Message(held) => *held == id,
            HoldTarget::Domain(held) => Some(held.as_bytes()) == domain,
            target => *target == of_channel,
        });
        let by_control = self.held_by_control[channel.index()].then(|| {
            format!("the control file hold{channel} holds the channel; 0 in it and HUP let it go")
        });
        found.map(words).or(by_control)
    }

    /// What happens when it gets too old.
    fn expiry(&self, stored: &Stored, next: i64, why: &mut Why) {
        let (name, lifetime) = match stored.sender.is_empty() {
            true => ("bouncelifetime", self.lifetime[1]),
            false => ("queuelifetime", self.lifetime[0]),
        };
        let until = stored.birth.saturating_add(lifetime);
        why.notes.push(if schedule::is_expired(stored.birth, next, lifetime) {
            format!(
                "that is the last try: it is then older than {name} ({lifetime} s), and what is \
                 put off once more fails for good"
            )
        } else {
            let when = moment(until, self.now);
            format!("tried until {name} is over ({lifetime} s, {when})")
        });
    }

    /// Hosts in the last answer that are left alone.
    fn down_host(&self, channel: Channel, why: &mut Why) {
        let (Channel::Remote, Some(tcpto), Some(last)) = (channel, &self.tcpto, &why.last) else {
            return;
        };
        let cut = |c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':');
        let words = last
            .words
            .split(cut)
            .map(|word| word.trim_matches(['.', ':']));
        let mut ips: Vec<IpAddr> = words.filter_map(|word| word.parse().ok()).collect();
        ips.sort();
        ips.dedup();
        for record in &tcpto.records {
            let age = self.now - i64::from(record.time);
            if 2 <= record.count && ips.contains(&record.ip) && age < DOWN_SECONDS_MAX {
                why.notes.push(format!(
                    "host {} failed {} times, last {} ago, and is left alone for about {}; \
                     qmail-tcpok forgets that",
                    record.ip,
                    record.count,
                    duration(age),
                    duration(DOWN_SECONDS_MAX - age)
                ));
            }
        }
    }
}

fn print(told: &Told, now: i64) {
    say!(
        "message {} in {}, from <{}>, queued {}",
        told.message,
        told.queue,
        told.sender,
        moment(told.queued, now)
    );
    told.notes.iter().for_each(|note| say!("  {note}"));
    if told.recipients.is_empty() {
        say!("  no recipient waits");
    }
    for why in told.recipients.iter().take(RECIPIENTS_SHOWN_MAX) {
        let word = match why.state {
            "held" | "unknown" => tone(Tone::Bad, why.state),
            "running" | "pass" | "new" => tone(Tone::Good, why.state),
            state => tone(Tone::Waiting, state),
        };
        say!("  to {} {}: {word}", why.channel, why.recipient);
        if let Some(next) = why.next {
            say!("    next try     {}", moment(next, now));
        }
        say!("    why          {}", why.rule);
        match &why.last {
            Some(last) => say!(
                "    last answer  {} {}: {}",
                moment(last.time, now),
                last.result,
                last.words
            ),
            None => say!("    last answer  none is on record"),
        }
        why.notes
            .iter()
            .for_each(|note| say!("    note         {note}"));
    }
    if RECIPIENTS_SHOWN_MAX < told.recipients.len() {
        let more = told.recipients.len() - RECIPIENTS_SHOWN_MAX;
        say!("  and {more} more; --json tells all");
    }
}
