//! The trace of a message: one id over all processes, and their events.
//!
//! The id is born in the first process that sees a message and travels in the
//! `h` record of the envelope as a header line of its own, so the queue's
//! files keep their documented format. Programs started for a delivery find
//! it in the variable [`VARIABLE`].
//!
//! Events go as datagrams to the trace collector, one JSON object each: what
//! the writer knows, never a secret, every foreign string printable.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The header line that carries the id in an `h` record.
pub const HEADER: &str = "X-Indimail-Trace";
/// The variable that carries the id to programs.
pub const VARIABLE: &str = "X_INDIMAIL_TRACE";
/// Longest event, in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 16 * 1024;

const ID_BYTES: usize = 16;

/// Identifies a message over all processes and queues.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; ID_BYTES]);

/// The text is not a trace id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a trace id is 16 characters of 0-9 and a-v")]
pub struct TraceIdError;

impl TraceId {
    /// Makes an id from the time and 40 random bits; ids sort by time.
    pub fn new(unix_seconds: u64, random: u64) -> Self {
        let bits =
            (u128::from(unix_seconds) & 0xff_ffff_ffff) << 40 | u128::from(random & 0xff_ffff_ffff);
        let mut id = [0; ID_BYTES];
        for (i, digit) in id.iter_mut().enumerate() {
            *digit = b"0123456789abcdefghijklmnopqrstuv"[(bits >> (75 - 5 * i)) as usize & 31];
        }
        Self(id)
    }

    /// Parses what another process or a person wrote.
    pub fn parse(text: &[u8]) -> Result<Self, TraceIdError> {
        let id: [u8; ID_BYTES] = text.try_into().map_err(|_| TraceIdError)?;
        let valid = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'));
        if valid {
            Ok(Self(id))
        } else {
            Err(TraceIdError)
        }
    }

    /// Finds the id in the header lines of an `h` record.
    pub fn from_headers(lines: &[u8]) -> Option<Self> {
        lines.split(|&b| b == b'\n').find_map(|line| {
            let value = line.strip_prefix(HEADER.as_bytes())?.strip_prefix(b":")?;
            Self::parse(value.trim_ascii()).ok()
        })
    }

    /// The line for an `h` record, with its newline.
    pub fn to_header(self) -> String {
        format!("{HEADER}: {self}\n")
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&b| write!(f, "{}", char::from(b)))
    }
}

impl TryFrom<String> for TraceId {
    type Error = TraceIdError;

    fn try_from(text: String) -> Result<Self, TraceIdError> {
        Self::parse(text.as_bytes())
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

/// What happened, in the order a message meets it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A session or program took the message from outside.
    Received,
    /// A recipient or message was refused before it was queued.
    Refused,
    /// The message is in the queue, on disk.
    Queued,
    /// qmail-todo sorted the recipients.
    Preprocessed,
    /// A delivery to one recipient started.
    Started,
    /// The recipient has the message.
    Delivered,
    /// The delivery will be tried again.
    Deferred,
    /// The recipient will never have it.
    Failed,
    /// A bounce was sent; `other` is the id of the bounce's own trace.
    Bounced,
    /// What was left of the message, or its bounce, was dropped by a rule or
    /// an operator; the text says by which.
    Discarded,
    /// The message went on to other addresses as a new one; see `other`.
    Forwarded,
    /// All recipients are done and the message left the queue.
    Ended,
}

/// One event of a message's story. Absent facts are `None` and not printed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Event {
    /// Which message.
    pub trace: TraceId,
    /// Unix time in seconds, with a fraction.
    pub time: f64,
    /// Program that says so.
    pub program: String,
    /// Its process id.
    pub pid: u32,
    /// What happened.
    pub kind: Kind,
    /// Name of the queue, like `queue1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Number of the message in that queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// Envelope sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Envelope recipients this event is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// How many recipients the envelope has, when the event is about all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Message-ID, without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// `local` or `remote`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where it came from or went to: peer, host, mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Unix time of the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Id of another message this one led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<TraceId>,
    /// Reply, report or reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Event {
    /// An event with no facts but who, when and what.
    pub fn new(trace: TraceId, time: f64, program: &str, pid: u32, kind: Kind) -> Self {
        Self {
            trace,
            time,
            program: program.to_owned(),
            pid,
            kind,
            queue: None,
            message: None,
            sender: None,
            recipients: Vec::new(),
            total: None,
            message_id: None,
            bytes: None,
            channel: None,
            place: None,
            next: None,
            other: None,
            text: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_header_line() {
        let id = TraceId::new(1_700_000_000, 0x12_3456_789a);
        let lines = format!("Subject: x\n{}", id.to_header());
        assert_eq!(TraceId::from_headers(lines.as_bytes()), Some(id));
        assert_eq!(id.to_string().len(), 16);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        assert!(TraceId::new(1, u64::MAX) < TraceId::new(2, 0));
    }

    #[test]
    fn a_forged_id_is_not_one() {
        assert_eq!(TraceId::parse(b"../../etc/passwd"), Err(TraceIdError));
        assert_eq!(TraceId::parse(b"short"), Err(TraceIdError));
    }

    #[test]
    fn every_id_comes_back_from_text() {
        property::holds(|u| {
            let id = TraceId::new(u.int_in_range(0..=u64::from(u32::MAX))?, u.arbitrary()?);
            assert_eq!(TraceId::parse(id.to_string().as_bytes()), Ok(id));
            let lines = format!("X-A: 1\n{}X-B: 2\n", id.to_header());
            assert_eq!(TraceId::from_headers(lines.as_bytes()), Some(id));
            Ok(())
        });
    }
}
