//! Reading the log lines that [`crate::Lines`] writes, with and without the
//! name of the queue.

use crate::{Channel, Verdict};

/// A line of qmail-send's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine<'a> {
    /// The queue, when there are several.
    pub queue: Option<&'a str>,
    /// What happened.
    pub fact: Fact<'a>,
}

/// What a line tells of messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fact<'a> {
    /// Preprocessing starts.
    New {
        /// The message.
        id: u64,
    },
    /// The sender is known.
    Info {
        /// The message.
        id: u64,
        /// Envelope sender.
        sender: &'a str,
    },
    /// A delivery starts.
    Starting {
        /// Its number, with that of the queue.
        delivery: &'a str,
        /// The message.
        id: u64,
        /// The channel.
        channel: Channel,
        /// The recipient.
        recipient: &'a str,
    },
    /// A delivery ends.
    Ended {
        /// Its number, with that of the queue.
        delivery: &'a str,
        /// How.
        verdict: Verdict,
    },
    /// A bounce is in the queue.
    Bounce {
        /// Of this message.
        id: u64,
    },
    /// Something was dropped by a rule or an operator.
    Discarded {
        /// The message, or the message that bounced.
        id: u64,
        /// By which rule.
        rule: &'a str,
    },
    /// The message leaves the queue.
    End {
        /// The message.
        id: u64,
    },
}

impl<'a> LogLine<'a> {
    /// Reads a line without its label; `None` for lines that tell nothing of
    /// a message.
    pub fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_end_matches(['\r', '\n']);
        let (fact, rest) = fact(line)?;
        let queue = match rest.trim_start() {
            "" => None,
            name if name.contains(' ') => return None,
            name => Some(name),
        };
        Some(Self { queue, fact })
    }
}

/// The fact, and what follows it.
fn fact(line: &str) -> Option<(Fact<'_>, &str)> {
    if let Some(rest) = line.strip_prefix("new msg ") {
        let (id, rest) = number(rest)?;
        return Some((Fact::New { id }, rest));
    }
    if let Some(rest) = line.strip_prefix("info msg ") {
        let (id, rest) = number(rest)?;
        let (_, rest) = rest.split_once(" from <")?;
        let (sender, rest) = rest.split_once("> qp ")?;
        let (_, rest) = rest.split_once(" uid ")?;
        let (_, rest) = number(rest)?;
        return Some((Fact::Info { id, sender }, rest));
    }
    if let Some(rest) = line.strip_prefix("starting delivery ") {
        let (delivery, rest) = rest.split_once(": msg ")?;
        let (id, rest) = number(rest)?;
        let rest = rest.strip_prefix(" to ")?;
        let (channel, rest) = rest.split_once(' ')?;
        let channel = Channel::ALL.into_iter().find(|c| c.name() == channel)?;
        let (recipient, rest) = word(rest);
        let fact = Fact::Starting {
            delivery,
            id,
            channel,
            recipient,
        };
        return Some((fact, rest));
    }
    if let Some(rest) = line.strip_prefix("delivery ") {
        let (delivery, rest) = rest.split_once(": ")?;
        if let Some(rest) = rest.strip_prefix("report mangled, will defer") {
            let verdict = Verdict::Mangled;
            return Some((Fact::Ended { delivery, verdict }, rest));
        }
        let (verdict, rest) = rest.split_once(':')?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let verdict = match verdict {
            "success" => Verdict::Success,
            "deferral" => Verdict::Deferral,
            "failure" => Verdict::Failure,
            _ => return None,
        };
        return Some((Fact::Ended { delivery, verdict }, word(rest).1));
    }
    if let Some(rest) = line.strip_prefix("bounce msg ") {
        let (id, rest) = number(rest)?;
        let (_, rest) = number(rest.strip_prefix(" qp ")?)?;
        return Some((Fact::Bounce { id }, rest));
    }
    if let Some(rest) = line.strip_prefix("end msg ") {
        let (id, rest) = number(rest)?;
        return Some((Fact::End { id }, rest));
    }
    if let Some(rest) = line.strip_prefix("discard msg ") {
        let (id, rest) = number(rest)?;
        let rule = rest.strip_prefix(": ")?;
        // `deleted by uid N`, four words.
        let end = rule
            .match_indices(' ')
            .nth(3)
            .map_or(rule.len(), |(at, _)| at);
        let (rule, rest) = rule.split_at(end);
        return Some((Fact::Discarded { id, rule }, rest));
    }
    let (rule, rest) = line.split_once(": discarding bounce/")?;
    let (id, rest) = number(rest)?;
    let is_known = matches!(rule, "double bounce" | "triple bounce" | "bounce processor");
    is_known.then_some((Fact::Discarded { id, rule }, rest))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(' ').unwrap_or(text.len()))
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lines;

    #[test]
    fn every_line_that_is_written_is_read() {
        for (lines, queue, suffix) in [
            (Lines::of_single_queue(), None, ""),
            (Lines::of_queue("queue3"), Some("queue3"), ".3"),
        ] {
            let delivery = format!("4{suffix}");
            let delivery = delivery.as_str();
            let channel = Channel::Remote;
            let ended = |verdict| Fact::Ended { delivery, verdict };
            let text = b"ok: 250 fine.\nreally % ";
            let rule = |rule| Fact::Discarded { id: 7, rule };
            for (line, fact) in [
                (lines.new_message(7), Fact::New { id: 7 }),
                (
                    lines.info(7, 12, b"a > b@c", 5, 6),
                    Fact::Info {
                        id: 7,
                        sender: "a_>_b@c",
                    },
                ),
                (
                    lines.starting(4, 7, channel, b"x y@z"),
                    Fact::Starting {
                        delivery,
                        id: 7,
                        channel,
                        recipient: "x_y@z",
                    },
                ),
                (
                    lines.ended(4, Verdict::Success, text),
                    ended(Verdict::Success),
                ),
                (
                    lines.ended(4, Verdict::Failure, b""),
                    ended(Verdict::Failure),
                ),
                (
                    lines.ended(4, Verdict::Mangled, text),
                    ended(Verdict::Mangled),
                ),
                (lines.bounce(7, 9), Fact::Bounce { id: 7 }),
                (lines.discarding("triple", 7), rule("triple bounce")),
                (
                    lines.other("bounce processor: discarding bounce/7"),
                    rule("bounce processor"),
                ),
                (
                    lines.other("discard msg 7: deleted by uid 0"),
                    rule("deleted by uid 0"),
                ),
                (lines.end_message(7), Fact::End { id: 7 }),
            ] {
                let expected = LogLine { queue, fact };
                assert_eq!(LogLine::parse(&line), Some(expected), "{line}");
            }
        }
    }

    #[test]
    fn other_lines_and_broken_ones_are_passed_over() {
        for line in [
            "status: local 0/10 remote 0/20",
            "warning: trouble reading info/7",
            "new msg x",
            "new msg",
            "end msg 99999999999999999999999",
            "starting delivery 1: msg 2 to nowhere a@b",
            "delivery 1: miracle: yes",
            "",
        ] {
            assert_eq!(LogLine::parse(line), None, "{line}");
        }
        property::holds(|u| {
            let line: String = u.arbitrary()?;
            let _ = LogLine::parse(&line);
            Ok(())
        });
    }
}
