//! Finding the stories somebody asks for.

use std::collections::{BTreeMap, BTreeSet};

use wire::trace::{Event, TraceId};

use super::read::visit;
use super::{Story, StoryError};
use crate::Home;

/// Most messages one question is answered with; the newest are kept.
const MESSAGES_MAX: usize = 100;
/// How often a message may lead to another one (forward, bounce) and still be
/// told with the first.
const GENERATIONS_MAX: usize = 8;

/// The stories of the messages known by a trace id, a number in the queue, a
/// Message-ID or an address, oldest first, with those of the messages they
/// led to.
pub fn find(home: &Home, wanted: &str) -> Result<Vec<Story>, StoryError> {
    let wanted = wanted.trim().trim_start_matches('<').trim_end_matches('>');
    let mut ids = BTreeSet::new();
    visit(home, &mut |event| {
        if is_about(&event, wanted) {
            ids.insert(event.trace);
            if MESSAGES_MAX < ids.len() {
                ids.pop_first();
            }
        }
    })?;
    let mut seen = BTreeSet::new();
    let mut found: BTreeMap<TraceId, Vec<Event>> = BTreeMap::new();
    for _ in 0..GENERATIONS_MAX {
        let new: BTreeSet<TraceId> = ids.difference(&seen).copied().collect();
        if new.is_empty() {
            break;
        }
        visit(home, &mut |event| {
            if new.contains(&event.trace) {
                ids.extend(event.other);
                found.entry(event.trace).or_default().push(event);
            }
        })?;
        seen.extend(new);
    }
    Ok(found
        .into_iter()
        .map(|(trace, events)| in_order(trace, events))
        .collect())
}

/// The collector hears of two processes in any order; their clocks agree.
fn in_order(trace: TraceId, mut events: Vec<Event>) -> Story {
    events.sort_by(|a, b| a.time.total_cmp(&b.time));
    let mut story = Story::new(trace);
    for event in events {
        story.push(event);
    }
    story
}

fn is_about(event: &Event, wanted: &str) -> bool {
    let same = |text: &String| text.eq_ignore_ascii_case(wanted);
    event.trace.to_string() == wanted
        || event
            .message
            .is_some_and(|message| message.to_string() == wanted)
        || event.message_id.as_ref().is_some_and(same)
        || event.sender.as_ref().is_some_and(same)
        || event.recipients.iter().any(same)
}

#[cfg(test)]
mod tests {
    use wire::trace::Kind;

    use super::*;

    #[test]
    fn a_message_is_found_by_each_of_its_names_with_what_it_led_to() {
        let (first, bounce) = (TraceId::new(1, 1), TraceId::new(2, 2));
        let event = |trace, time, kind| Event::new(trace, time, "test", 1, kind);
        let mut queued = event(first, 1.0, Kind::Queued);
        queued.message = Some(77);
        queued.message_id = Some("id@example.org".to_owned());
        queued.recipients = vec!["Ann@example.org".to_owned()];
        let mut bounced = event(first, 2.0, Kind::Bounced);
        bounced.other = Some(bounce);
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir_all(home.log().join("trace")).unwrap();
        let lines: String = [bounced, queued, event(bounce, 3.0, Kind::Ended)]
            .iter()
            .map(|event| {
                format!(
                    "@4000000038c3eeb027f41c7c {}\n",
                    serde_json::to_string(event).unwrap()
                )
            })
            .collect();
        std::fs::write(home.log().join("trace/current"), lines).unwrap();
        for name in [
            &first.to_string(),
            "77",
            "<id@example.org>",
            "ann@EXAMPLE.org",
        ] {
            let stories = find(&home, name).unwrap();
            assert_eq!(stories.len(), 2, "{name}");
            assert_eq!(stories[0].events[0].kind, Kind::Queued, "in order of time");
        }
        assert!(find(&home, "nobody@example.org").unwrap().is_empty());
    }
}
