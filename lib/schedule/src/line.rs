//! The log lines of qmail-send and qmail-todo (queue-and-delivery.md §4.7).
//!
//! Log analysers read them, so they are exact. With one queue they are the
//! guide's; with several each ends in the queue's name and delivery numbers
//! carry the queue's number, so that both are unique.

use text::log::safe;

use crate::Channel;

/// Writes the lines of one queue, without their newlines.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    queue: Option<(String, String)>,
}

/// How a delivery ended, as the log says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The recipient has it.
    Success,
    /// It will be tried again.
    Deferral,
    /// It will not be tried again.
    Failure,
    /// The report made no sense; it will be tried again.
    Mangled,
}

impl Lines {
    /// The guide's form, for the only queue of a site.
    pub fn of_single_queue() -> Self {
        Self::default()
    }

    /// The form for one of several queues; `name` is like `queue3`.
    pub fn of_queue(name: &str) -> Self {
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let number = if digits.is_empty() { name } else { digits };
        Self {
            queue: Some((safe(name.as_bytes()), safe(number.as_bytes()))),
        }
    }

    /// Preprocessing starts.
    pub fn new_message(&self, id: u64) -> String {
        self.end(format!("new msg {id}"))
    }

    /// The envelope sender is known.
    pub fn info(&self, id: u64, bytes: u64, sender: &[u8], qp: u64, uid: u64) -> String {
        let sender = safe(sender);
        self.end(format!(
            "info msg {id}: bytes {bytes} from <{sender}> qp {qp} uid {uid}"
        ))
    }

    /// A command went to a spawner.
    pub fn starting(&self, number: u64, id: u64, channel: Channel, recipient: &[u8]) -> String {
        let (number, recipient) = (self.delivery(number), safe(recipient));
        self.end(format!(
            "starting delivery {number}: msg {id} to {channel} {recipient}"
        ))
    }

    /// A report came from a spawner.
    pub fn ended(&self, number: u64, verdict: Verdict, report: &[u8]) -> String {
        let number = self.delivery(number);
        let word = match verdict {
            Verdict::Success => "success",
            Verdict::Deferral => "deferral",
            Verdict::Failure => "failure",
            Verdict::Mangled => {
                return self.end(format!("delivery {number}: report mangled, will defer"));
            }
        };
        self.end(format!("delivery {number}: {word}: {}", safe(report)))
    }

    /// A bounce is in the queue.
    pub fn bounce(&self, id: u64, qp: u32) -> String {
        self.end(format!("bounce msg {id} qp {qp}"))
    }

    /// A bounce that would go nowhere is dropped; `degree` is `double` or
    /// `triple`.
    pub fn discarding(&self, degree: &str, id: u64) -> String {
        self.end(format!("{degree} bounce: discarding bounce/{id}"))
    }

    /// The message is about to leave the queue.
    pub fn end_message(&self, id: u64) -> String {
        self.end(format!("end msg {id}"))
    }

    /// Something else worth a line: `status: ...`, `local deliveries ...`.
    pub fn other(&self, text: &str) -> String {
        self.end(text.to_owned())
    }

    /// Something went wrong and will be tried again.
    pub fn warning(&self, text: &str) -> String {
        self.end(format!("warning: {text}"))
    }

    /// Something went wrong and a person should look.
    pub fn alert(&self, text: &str) -> String {
        self.end(format!("alert: {text}"))
    }

    fn delivery(&self, number: u64) -> String {
        match &self.queue {
            Some((_, queue)) => format!("{number}.{queue}"),
            None => number.to_string(),
        }
    }

    fn end(&self, mut line: String) -> String {
        if let Some((name, _)) = &self.queue {
            line.push(' ');
            line.push_str(name);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_queue_writes_the_lines_of_the_guide() {
        let lines = Lines::of_single_queue();
        assert_eq!(
            lines.info(7, 1234, b"a b@c", 55, 1000),
            "info msg 7: bytes 1234 from <a_b@c> qp 55 uid 1000"
        );
        assert_eq!(
            lines.starting(1, 7, Channel::Remote, b"x@y"),
            "starting delivery 1: msg 7 to remote x@y"
        );
        assert_eq!(
            lines.ended(1, Verdict::Failure, b"Sorry.\nNo (#5.1.1)\n"),
            "delivery 1: failure: Sorry./No_(#5.1.1)/"
        );
    }

    #[test]
    fn several_queues_are_told_apart() {
        let lines = Lines::of_queue("queue3");
        assert_eq!(lines.end_message(7), "end msg 7 queue3");
        assert_eq!(
            lines.ended(4, Verdict::Success, b"ok"),
            "delivery 4.3: success: ok queue3"
        );
    }
}
