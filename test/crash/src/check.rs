//! The promises, checked on one disk.

use std::collections::BTreeMap;

use crate::log::Journal;
use crate::model::{Effect, Tree};
use crate::scenario::{Message, Scenario};

/// Something that is known outside the machine, whatever its disk forgets.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Fact {
    /// The sender was told yes.
    Accepted {
        /// What.
        text: String,
        /// For whom.
        recipients: Vec<String>,
    },
    /// Another host has it.
    Sent {
        /// Whose.
        recipient: String,
        /// What.
        text: String,
    },
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken(pub String);

/// What the system did after it was started again.
#[derive(Debug)]
pub struct Recovered {
    /// Changes of the disk.
    pub effects: Vec<Effect>,
    /// When they were.
    pub times: Vec<i64>,
    /// What became known, before and then.
    pub facts: Vec<(usize, Fact)>,
}

/// What may become of a message that was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// All of its recipients get it, or none.
    AllOrNone,
    /// Some may get it: its envelope could be neither made durable nor taken
    /// back, so it was preprocessed, and the power went in the middle. Its
    /// sender, who was told to, tries again. Files of it that were cut may
    /// stay, and are complained of.
    Some,
}

const BOUNCE_START: &str = "bounce:\n";

/// Starts the system on a disk and lets it come to rest; then everything
/// accepted must be delivered or bounced, nothing half, nothing to anybody
/// else, nothing more often than it was queued, and the queue be empty.
pub fn check(
    scenario: &Scenario,
    disk: &Tree,
    known: &[Fact],
    now: i64,
    journal: Journal,
    refused: Refused,
) -> Result<Recovered, Broken> {
    let model = scenario.model(disk.clone(), now, journal);
    let mut engine = scenario.start(&model);
    let came_to_rest = engine.run();
    let mut facts: Vec<_> = known.iter().map(|fact| (0, fact.clone())).collect();
    facts.extend(engine.facts().iter().cloned());
    let after = model.tree();
    let all: Vec<_> = facts.iter().map(|(_, fact)| fact.clone()).collect();
    if !came_to_rest && refused == Refused::AllOrNone {
        return Err(Broken("the queue never comes to rest".to_owned()));
    }
    delivered_and_whole(scenario, &after, &all, refused)?;
    at_most_as_often_as_queued(scenario, disk, known, &after, &all)?;
    let (effects, times) = (model.effects(), model.times());
    let recovered = Recovered {
        effects,
        times,
        facts,
    };
    if !came_to_rest {
        return Ok(recovered);
    }
    engine.sweep();
    // What belongs to a text that was swept is removed at the next start.
    let mut engine = scenario.start(&model);
    if !engine.run() {
        return Err(Broken("the queue never comes to rest again".to_owned()));
    }
    empty(&model.tree())?;
    if mailboxes(&model.tree()) != mailboxes(&after) {
        return Err(Broken("delivered again without a crash".to_owned()));
    }
    Ok(recovered)
}

/// Everything accepted arrived or was bounced; nothing arrived that should
/// not have.
pub fn delivered_and_whole(
    scenario: &Scenario,
    tree: &Tree,
    facts: &[Fact],
    refused: Refused,
) -> Result<(), Broken> {
    let boxes = mailboxes(tree);
    for (user, texts) in &boxes {
        for text in texts {
            whole(scenario, user, text)?;
        }
    }
    for fact in facts {
        match fact {
            Fact::Sent { recipient, text } if !text.starts_with(BOUNCE_START) => {
                let known = scenario.messages.iter().find(|m| m.text == text);
                let is_right = known.is_some_and(|m| m.recipients.contains(&&**recipient));
                if !is_right {
                    return Err(Broken(format!("{recipient} was sent {text:?}")));
                }
            }
            Fact::Sent { .. } => {}
            Fact::Accepted { text, recipients } => {
                for recipient in recipients {
                    if !has_arrived(&boxes, facts, recipient, text) {
                        return Err(Broken(format!("{recipient} never gets {text:?}")));
                    }
                }
            }
        }
    }
    for message in scenario.messages {
        let arrived = |recipient: &&&str| has_arrived(&boxes, facts, recipient, message.text);
        let number = message.recipients.iter().filter(arrived).count();
        let is_partial = number != 0 && number != message.recipients.len();
        if is_partial && refused == Refused::AllOrNone {
            let text = message.text;
            return Err(Broken(format!("only some recipients get {text:?}")));
        }
    }
    Ok(())
}

/// What users have, without the line that says who they are.
fn mailboxes(tree: &Tree) -> BTreeMap<String, Vec<String>> {
    let mut boxes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in &tree.names {
        if let Some((user, _)) = name
            .strip_prefix("/mail/")
            .and_then(|rest| rest.split_once("/new/"))
        {
            let text = String::from_utf8_lossy(&tree.files[file].bytes).into_owned();
            boxes.entry(user.to_owned()).or_default().push(text);
        }
    }
    boxes
}

fn whole(scenario: &Scenario, user: &str, text: &str) -> Result<(), Broken> {
    let Some(text) = text.strip_prefix(&format!("Delivered-To: {user}@h\n")) else {
        return Err(Broken(format!("{user} has a mutilated {text:?}")));
    };
    let end = String::from_utf8_lossy(crate::engine::BOUNCE_END);
    let is_bounce = text.starts_with(BOUNCE_START) && text.ends_with(&*end) && !text.contains('\0');
    let is_for = |message: &Message| {
        let to = |recipient: &&str| *recipient == format!("{user}@h");
        let forwarded = user == "ann" && message.recipients.contains(&"forward@h");
        forwarded || message.recipients.iter().any(to)
    };
    let known = scenario.messages.iter().find(|m| m.text == text);
    match known {
        Some(message) if is_for(message) => Ok(()),
        None if is_bounce => Ok(()),
        _ => Err(Broken(format!("{user} has {text:?}"))),
    }
}

fn has_arrived(
    boxes: &BTreeMap<String, Vec<String>>,
    facts: &[Fact],
    recipient: &str,
    text: &str,
) -> bool {
    let (user, host) = recipient.split_once('@').unwrap_or_default();
    if user.starts_with("bad") {
        let paragraph = format!("<{recipient}>:\n");
        let tells = |kept: &String| {
            kept.contains(BOUNCE_START) && kept.contains(&paragraph) && kept.contains(text)
        };
        return boxes.values().flatten().any(tells);
    }
    if host != "h" {
        return facts.iter().any(|fact| {
            matches!(fact, Fact::Sent { recipient: r, text: t } if r == recipient && t == text)
        });
    }
    let user = if user == "forward" { "ann" } else { user };
    let copy = format!("Delivered-To: {user}@h\n{text}");
    boxes.get(user).is_some_and(|texts| texts.contains(&copy))
}

/// A recipient gets a message once more at most for each time it was in the
/// queue when the power went.
fn at_most_as_often_as_queued(
    scenario: &Scenario,
    before: &Tree,
    known: &[Fact],
    after: &Tree,
    facts: &[Fact],
) -> Result<(), Broken> {
    let (old, new) = (mailboxes(before), mailboxes(after));
    let sent = |facts: &[Fact], to: &str, what: &str| {
        let is_it = |fact: &&Fact| matches!(fact, Fact::Sent { recipient, text } if recipient == to && text == what);
        facts.iter().filter(is_it).count()
    };
    for message in scenario.messages {
        let queued = before.names.iter().filter(|(name, file)| {
            name.starts_with("/queue/mess/") && before.files[*file].bytes == message.text.as_bytes()
        });
        let queued = queued.count();
        for recipient in message.recipients.iter().chain(&["ann@h"]) {
            let (user, _) = recipient.split_once('@').unwrap_or_default();
            let copy = format!("Delivered-To: {recipient}\n{}", message.text);
            let copies = |boxes: &BTreeMap<String, Vec<String>>| {
                let texts = boxes.get(user).into_iter().flatten();
                texts.filter(|text| **text == copy).count()
            };
            let more = copies(&new) - copies(&old) + sent(facts, recipient, message.text)
                - sent(known, recipient, message.text);
            if queued < more {
                return Err(Broken(format!(
                    "{recipient} gets {:?} {more} times more, and it was queued {queued} times",
                    message.text
                )));
            }
        }
    }
    Ok(())
}

/// Nothing is left in the queue.
pub fn empty(tree: &Tree) -> Result<(), Broken> {
    let left: Vec<_> = tree
        .names
        .keys()
        .filter(|name| name.starts_with("/queue/") && !name.starts_with("/queue/spare/"))
        .collect();
    match left.is_empty() {
        true => Ok(()),
        false => Err(Broken(format!("left for ever: {left:?}"))),
    }
}
