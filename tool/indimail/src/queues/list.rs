//! `indimail queue list` and `show`.

use std::process::ExitCode;

use clap::Args;
use queue::{HoldTarget, Layout, List, Operator, Stored};
use serde::Serialize;
use wire::operator::Waiting;

use super::paint::{Tone, duration, moment, tone};
use super::progress::Progress;
use super::{House, Messages, NOT_RUNNING, Place, print_json};
use crate::Outcome;
use crate::print::{Listing, say};

/// Longest address shown in a table.
const ADDRESS_BYTES_MAX: usize = 60;

/// Arguments of `indimail queue list`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Only messages from this sender; * and ? stand for anything
    #[arg(long, value_name = "PATTERN")]
    from: Option<String>,
    /// Only messages with such a recipient left
    #[arg(long, value_name = "PATTERN")]
    to: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// One message, for programs.
#[derive(Debug, Serialize)]
struct Line {
    queue: String,
    message: u64,
    trace: Option<String>,
    queued: i64,
    bytes: u64,
    sender: String,
    recipients_left: usize,
    recipients_done: usize,
    first_left: Option<String>,
    preprocessed: bool,
    bouncing: bool,
    held: bool,
    local_due: Option<i64>,
    remote_due: Option<i64>,
}

/// Says whether a message is one of those that are asked for.
pub fn fits(stored: &Stored, from: Option<&str>, to: Option<&str>) -> bool {
    let matches = |pattern: &str, text: &[u8]| text::wildmat::matches(pattern.as_bytes(), text);
    let mut left = stored.recipients.iter().filter(|r| !r.is_done);
    from.is_none_or(|pattern| matches(pattern, &stored.sender))
        && to.is_none_or(|pattern| left.any(|r| matches(pattern, &r.address)))
}

/// Lists messages, one after the other: what is kept of each is its number and
/// when it is due, some forty bytes.
pub fn list(arguments: &Arguments) -> Outcome {
    let house = House::open(arguments.place.root.as_deref())?;
    let mut listing = Listing::new(arguments.place.json);
    for layout in &house.queues {
        let mut operator = Operator::connect(layout)?;
        let due = Due::ask(operator.as_mut())?;
        if operator.is_none() {
            eprintln!("indimail: {}: {NOT_RUNNING}", layout.name());
        }
        let holds = queue::holds(layout)?;
        if !arguments.place.json {
            for hold in holds
                .iter()
                .filter(|h| !matches!(h.target, HoldTarget::Message(_)))
            {
                let held = tone(Tone::Bad, "held");
                say!(
                    "{}: {} is {held}{}",
                    layout.name(),
                    hold.target,
                    because(&hold.reason)
                );
            }
        }
        let numbers = queue::stored_numbers(layout)?;
        let mut progress = arguments
            .place
            .json
            .then(|| Progress::new("reading", numbers.len()));
        for id in numbers {
            // Lines of text show by themselves how far it is.
            progress.iter_mut().for_each(Progress::step);
            let stored = match queue::read_stored(layout, id) {
                Ok(Some(stored)) => stored,
                Ok(None) => continue,
                Err(error) => {
                    eprintln!(
                        "indimail: warn: trouble with {}/{id}: {error}",
                        layout.name()
                    );
                    continue;
                }
            };
            if fits(&stored, arguments.from.as_deref(), arguments.to.as_deref()) {
                let held = holds
                    .iter()
                    .any(|hold| hold.target == HoldTarget::Message(id));
                listing.push(&line(layout, &stored, &due, held), text)?;
            }
        }
    }
    listing.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn because(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(" ({reason})"),
    }
}

/// When messages are due, as qmail-send knows it.
#[derive(Default)]
struct Due(Vec<Waiting>);

impl Due {
    fn ask(operator: Option<&mut Operator>) -> Result<Self, queue::OperatorError> {
        let mut waiting = match operator {
            Some(operator) => operator.waiting()?,
            None => Vec::new(),
        };
        waiting.sort_unstable_by_key(|waiting| waiting.id);
        Ok(Self(waiting))
    }

    /// On the local and the remote channel.
    fn of(&self, id: u64) -> [Option<i64>; 2] {
        let start = self.0.partition_point(|waiting| waiting.id < id);
        let mut due = [None; 2];
        for waiting in self.0[start..]
            .iter()
            .take_while(|waiting| waiting.id == id)
        {
            due[usize::from(waiting.is_remote)] = Some(waiting.due);
        }
        due
    }
}

fn line(layout: &Layout, stored: &Stored, due: &Due, held: bool) -> Line {
    let left: Vec<_> = stored.recipients.iter().filter(|r| !r.is_done).collect();
    let shown = |address: &[u8]| text::log::printable(address, ADDRESS_BYTES_MAX);
    let [local_due, remote_due] = due.of(stored.id);
    Line {
        queue: layout.name(),
        message: stored.id,
        trace: stored.trace.map(String::from),
        queued: stored.birth,
        bytes: stored.bytes,
        sender: shown(&stored.sender),
        recipients_left: left.len(),
        recipients_done: stored.recipients.len() - left.len(),
        first_left: left.first().map(|recipient| shown(&recipient.address)),
        preprocessed: stored.is_preprocessed,
        bouncing: stored.is_bouncing,
        held,
        local_due,
        remote_due,
    }
}

fn text(line: &Line) -> String {
    let now = os::clock::unix_seconds();
    let due = line.local_due.into_iter().chain(line.remote_due).min();
    let state = match due {
        _ if line.held => tone(Tone::Bad, "held"),
        Some(due) if now < due => tone(Tone::Waiting, &format!("next in {}", duration(due - now))),
        Some(_) => tone(Tone::Waiting, "due"),
        None if line.recipients_left == 0 => "ending".to_owned(),
        None if line.preprocessed => tone(Tone::Good, "under way"),
        None => tone(Tone::Good, "new"),
    };
    let more = match line.recipients_left {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!(
        "{}/{}  {} old  {} bytes  <{}> to {}{more}  {state}",
        line.queue,
        line.message,
        duration(now - line.queued),
        line.bytes,
        line.sender,
        line.first_left.as_deref().unwrap_or("nobody"),
    )
}

/// Everything about a message, for programs.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    line: Line,
    recipients: Vec<Recipient>,
    files: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Recipient {
    list: &'static str,
    address: String,
    done: bool,
}

/// Shows messages.
pub fn show(messages: &Messages) -> Outcome {
    let house = House::open(messages.place.root.as_deref())?;
    let mut all = Vec::new();
    for wanted in &messages.messages {
        let (layout, stored) = house.message(wanted)?;
        let due = Due::ask(Operator::connect(layout)?.as_mut())?;
        let target = HoldTarget::Message(stored.id);
        let held = queue::holds(layout)?
            .iter()
            .any(|hold| hold.target == target);
        let shown = Shown {
            line: line(layout, &stored, &due, held),
            recipients: stored.recipients.iter().map(recipient).collect(),
            files: files(layout, stored.id),
        };
        match messages.place.json {
            true => all.push(shown),
            false => print_all(&shown),
        }
    }
    match messages.place.json {
        true => print_json(&all),
        false => Ok(ExitCode::SUCCESS),
    }
}

fn recipient(recipient: &queue::StoredRecipient) -> Recipient {
    Recipient {
        list: list_name(recipient.list),
        address: text::log::printable(&recipient.address, usize::MAX),
        done: recipient.is_done,
    }
}

/// What a list is called.
pub fn list_name(list: List) -> &'static str {
    match list {
        List::Local => "local",
        List::Remote => "remote",
        List::Todo => "todo",
    }
}

fn files(layout: &Layout, id: u64) -> Vec<String> {
    let paths = [
        layout.mess(id),
        layout.intd(id),
        layout.todo(id),
        layout.info(id),
        layout.local(id),
        layout.remote(id),
        layout.bounce(id),
    ];
    let existing = paths.iter().filter(|path| path.exists());
    existing.map(|path| path.display().to_string()).collect()
}

fn print_all(shown: &Shown) {
    let Shown { line, .. } = shown;
    let now = os::clock::unix_seconds();
    say!("message {} in {}", line.message, line.queue);
    say!("  queued     {}", moment(line.queued, now));
    say!("  size       {} bytes", line.bytes);
    say!("  sender     <{}>", line.sender);
    if let Some(trace) = &line.trace {
        say!("  trace      {trace}");
    }
    if line.held {
        say!("  {}", tone(Tone::Bad, "held"));
    }
    if line.bouncing {
        say!("  some recipients failed; the sender will be told");
    }
    for (channel, due) in [("local", line.local_due), ("remote", line.remote_due)] {
        if let Some(due) = due {
            say!("  {channel:<10} next try {}", moment(due, now));
        }
    }
    for Recipient {
        list,
        address,
        done,
    } in &shown.recipients
    {
        let done = if *done { "done " } else { "     " };
        say!("  {done}{list} {address}");
    }
    shown.files.iter().for_each(|file| say!("  file {file}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use queue::StoredRecipient;

    #[test]
    fn a_message_may_be_due_on_both_channels() {
        let waiting = |id, is_remote, due| Waiting { id, is_remote, due };
        let mut due = Due(vec![
            waiting(7, false, 1),
            waiting(7, true, 2),
            waiting(9, true, 3),
        ]);
        due.0.sort_unstable_by_key(|waiting| waiting.id);
        assert_eq!(due.of(7), [Some(1), Some(2)]);
        assert_eq!((due.of(8), due.of(9)), ([None; 2], [None, Some(3)]));
    }

    #[test]
    fn only_recipients_that_are_left_are_looked_for() {
        let recipient = |address: &[u8], is_done| StoredRecipient {
            list: List::Remote,
            address: address.to_vec(),
            is_done,
        };
        let stored = Stored {
            sender: b"ann@example.org".to_vec(),
            recipients: vec![
                recipient(b"a@done.example", true),
                recipient(b"b@x.example", false),
            ],
            ..Stored::default()
        };
        assert!(fits(&stored, None, None));
        assert!(fits(&stored, Some("*@example.org"), Some("*@X.example")));
        assert!(!fits(&stored, None, Some("*@done.example")));
        assert!(!fits(&stored, Some(""), None));
    }
}
