//! Taking stock: what the logs say is not settled must be in the queue, whole.

use std::collections::BTreeSet;
use std::io;

use queue::{Layout, List, Stored};
use schedule::Channel;

use super::account::Account;
use super::answers::Answer;
use super::book::Book;
use super::{Balance, YOUNG_SECONDS};

/// Compares the book with the queues.
pub fn take(book: Book, layouts: &[Layout], now: f64) -> io::Result<Balance> {
    // Listed before, so that what ends meanwhile is not missed.
    let listed: Vec<BTreeSet<u64>> = layouts
        .iter()
        .map(queue::stored_numbers)
        .collect::<io::Result<_>>()?;
    let (mut balance, left, mut answers) = book.finish();
    let mut known = vec![BTreeSet::new(); layouts.len()];
    for account in left {
        let at = account
            .place
            .as_ref()
            .and_then(|(queue, _)| layouts.iter().position(|layout| layout.name() == *queue));
        let before = balance.differences.len();
        match (at, account.place.as_ref().map(|(_, id)| *id)) {
            (Some(at), Some(id)) => {
                if let Some(id) = one(&layouts[at], id, &account, &mut balance)? {
                    known[at].insert(id);
                }
            }
            _ if account.is_complete() => account.settle(&mut balance),
            _ => balance.differences.push(
                account
                    .difference("no queue is known to have it, and its end was not logged".into()),
            ),
        }
        for difference in &mut balance.differences[before..] {
            difference.is_young = true;
        }
    }
    for ((layout, listed), known) in layouts.iter().zip(&listed).zip(&known) {
        let ids = listed.difference(known);
        unknown(layout, ids, &mut balance, &mut answers)?;
        let texts = queue::numbers(layout, "mess")?;
        let alone = texts.difference(listed).filter(|id| {
            // One that came while we looked has its envelope by now.
            !layout.todo(**id).exists() && !layout.info(**id).exists()
        });
        balance.texts_alone += alone.count() as u64;
    }
    let lost = answers.iter().map(Answer::difference);
    balance.differences.splice(0..0, lost);
    for difference in &mut balance.differences {
        let age = now - difference.accepted as f64;
        difference.is_young |= age < YOUNG_SECONDS;
    }
    Ok(balance)
}

/// An account that is open; the number, when the message is in the queue.
fn one(
    layout: &Layout,
    id: u64,
    account: &Account,
    balance: &mut Balance,
) -> io::Result<Option<u64>> {
    let stored = match queue::read_stored(layout, id) {
        Ok(stored) => stored,
        Err(error) => {
            let problem = format!("its files in the queue cannot be read: {error}");
            balance.differences.push(account.difference(problem));
            return Ok(Some(id));
        }
    };
    let is_taken = stored.is_some();
    // Its number may be another message's by now.
    let stored = stored.filter(|stored| match (stored.trace, account.trace) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    });
    if let Some(stored) = stored {
        match missing(&stored, account) {
            0 => balance.queued += 1,
            n => balance.differences.push(account.difference(format!(
                "it is in the queue, but {n} of its recipients are neither there nor have they \
                 been delivered or refused"
            ))),
        }
        return Ok(Some(id));
    }
    if account.is_complete() {
        // A process was killed before it could log the end.
        account.settle(balance);
        return Ok(None);
    }
    balance
        .differences
        .push(account.difference(remains(layout, id)));
    // What is left of it is named here, and not once more.
    Ok((!is_taken).then_some(id))
}

/// How many recipients are in no file and have no outcome. A file lists all
/// recipients of its channel until all of them are done.
fn missing(stored: &Stored, account: &Account) -> u64 {
    let Some(expected) = account.expected() else {
        return 0;
    };
    let count = |list| stored.recipients.iter().filter(|r| r.list == list).count() as u64;
    if !stored.is_preprocessed {
        return 0;
    }
    let found: u64 = Channel::ALL
        .into_iter()
        .map(|channel| match stored.due[channel.index()] {
            Some(_) => count(match channel {
                Channel::Local => List::Local,
                Channel::Remote => List::Remote,
            }),
            None => account.outcomes(channel),
        })
        .sum();
    match account.without_outcome() {
        // Every one has an outcome, so nothing is left to be in a file.
        0 => 0,
        left => left.min(expected.saturating_sub(found)),
    }
}

/// What is left of a message that is not there as a whole.
fn remains(layout: &Layout, id: u64) -> String {
    let paths = [
        ("text", layout.mess(id)),
        ("envelope", layout.todo(id)),
        ("info", layout.info(id)),
        ("local recipients", layout.local(id)),
        ("remote recipients", layout.remote(id)),
    ];
    let is_whole = |name: &str| paths.iter().any(|(n, path)| *n == name && path.exists());
    let there: Vec<&str> = paths
        .iter()
        .filter(|(_, path)| path.exists())
        .map(|(name, _)| *name)
        .collect();
    match there.is_empty() {
        true => "it was neither delivered nor bounced, and the queue does not have it".to_owned(),
        false if !is_whole("text") => format!(
            "its text {} is gone; the queue still has its {}",
            layout.mess(id).display(),
            there.join(" and ")
        ),
        false => format!(
            "it was neither delivered nor bounced, and the queue has only its {}; {} and {} are \
             gone",
            there.join(" and "),
            layout.todo(id).display(),
            layout.info(id).display()
        ),
    }
}

/// Messages in the queue that no log names; whom we told that we have them
/// was told the truth.
fn unknown<'a>(
    layout: &Layout,
    ids: impl Iterator<Item = &'a u64>,
    balance: &mut Balance,
    answers: &mut Vec<Answer>,
) -> io::Result<()> {
    for &id in ids {
        match queue::read_stored(layout, id) {
            Ok(Some(stored)) => {
                if let Some(at) = answers.iter().position(|answer| answer.is_of(&stored)) {
                    answers.remove(at);
                }
                balance.accepted += 1;
                balance.queued += 1;
                balance.queued_before_the_logs += 1;
            }
            // It ended meanwhile, or has lost its text.
            Ok(None) if layout.mess(id).exists() || !layout.info(id).exists() => {}
            Ok(None) => balance
                .differences
                .push(nameless(layout, id, remains(layout, id))),
            Err(error) => {
                let problem = format!("its files in the queue cannot be read: {error}");
                balance.differences.push(nameless(layout, id, problem));
            }
        }
    }
    Ok(())
}

fn nameless(layout: &Layout, id: u64, problem: String) -> super::Difference {
    Account::at(layout.name(), id).difference(problem)
}

#[cfg(test)]
mod tests {
    use super::super::read::Line;
    use super::*;
    use wire::trace::{Event, Kind, TraceId};

    /// A message with a local and a remote recipient, queued and delivered
    /// locally.
    fn book(trace: TraceId) -> Book {
        let mut book = Book::new(None);
        for (kind, recipients) in [
            (Kind::Queued, vec!["a@b", "c@d"]),
            (Kind::Delivered, vec!["a@b"]),
        ] {
            let mut event = Event::new(trace, 1.0, "test", 1, kind);
            event.queue = Some("queue1".to_owned());
            event.message = Some(7);
            event.channel = Some("local".to_owned());
            event.recipients = recipients.into_iter().map(str::to_owned).collect();
            book.enter(1.0, Line::Event(Box::new(event)));
        }
        book
    }

    #[test]
    fn every_file_that_is_taken_away_is_missed() {
        let (_directory, layout) = testkit::new_queue();
        let layouts = [layout.clone()];
        let trace = TraceId::new(1, 1);
        std::fs::write(layout.mess(7), "text").unwrap();
        let info = format!("Fann@x\0h{}\0", trace.to_header());
        std::fs::write(layout.info(7), &info).unwrap();
        std::fs::write(layout.remote(7), "Tc@d\0").unwrap();
        let balance = take(book(trace), &layouts, 1e9).unwrap();
        assert_eq!((balance.accepted, balance.queued), (1, 1));
        assert!(balance.differences.is_empty(), "{balance:?}");
        for (path, words) in [
            (layout.mess(7), "its text"),
            (layout.info(7), "neither delivered nor bounced"),
            (layout.remote(7), "1 of its recipients"),
        ] {
            let aside = layout.root().join("aside");
            std::fs::rename(&path, &aside).unwrap();
            let balance = take(book(trace), &layouts, 1e9).unwrap();
            assert_eq!(balance.differences.len(), 1, "{path:?} {balance:?}");
            let difference = &balance.differences[0];
            assert_eq!(difference.message, Some(7));
            assert!(difference.problem.contains(words), "{difference:?}");
            std::fs::rename(&aside, &path).unwrap();
        }
    }

    #[test]
    fn the_number_of_a_lost_message_hides_nothing() {
        let (_directory, layout) = testkit::new_queue();
        std::fs::write(layout.mess(7), "text").unwrap();
        let info = format!("Fann@x\0h{}\0", TraceId::new(2, 2).to_header());
        std::fs::write(layout.info(7), &info).unwrap();
        std::fs::write(layout.remote(7), "Tc@d\0").unwrap();
        std::fs::write(layout.mess(8), "being written").unwrap();
        let balance = take(book(TraceId::new(1, 1)), &[layout], 1e9).unwrap();
        assert_eq!((balance.accepted, balance.queued), (2, 1));
        assert_eq!(balance.queued_before_the_logs, 1);
        assert_eq!(balance.differences.len(), 1);
        assert_eq!(balance.texts_alone, 1);
    }
}
