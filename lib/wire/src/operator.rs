//! The administrator's tools ↔ qmail-send: questions about one queue, and
//! wishes.
//!
//! One connection carries questions one after the other, each with one
//! [`Answer`]; [`Question::Waiting`] alone has many, the last of them empty.
//! The socket is `hold/socket` in the queue's directory, where only qmail-send
//! and root can reach it.

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 1;
/// Most messages of one [`Question::Retry`].
pub const MESSAGES_MAX: usize = 50_000;
/// Most messages in one [`Answer::Waiting`].
pub const WAITING_MAX: usize = 4096;

/// From a tool.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Question {
    /// How are the channels?
    Status,
    /// How is this message?
    Message(u64),
    /// Which messages wait, and until when?
    Waiting,
    /// The files below `hold` have changed: read them.
    Holds,
    /// Make these messages due now.
    Retry(Vec<u64>),
    /// Remove this message, without a bounce; the uid of who says so is
    /// known from the socket.
    Delete(u64),
}

/// From qmail-send.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Answer {
    /// The local and the remote channel.
    Status([Lane; 2]),
    /// A message.
    Message(Standing),
    /// Some that wait; none: these were all.
    Waiting(Vec<Waiting>),
    /// The holds were read.
    Held,
    /// So many of the messages wait, and are due now.
    Retried(u64),
    /// The message is out of the schedule and its files are being removed.
    Deleted,
    /// A delivery or the bounce of this message is under way: ask again.
    Busy,
    /// qmail-send does not have this message, or not yet.
    Unknown,
    /// It did not work.
    Failed(String),
}

/// A channel.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lane {
    /// Nothing is started, by a control file or an operator.
    pub is_held: bool,
    /// Deliveries that run.
    pub running: u32,
    /// Most that may.
    pub limit: u32,
    /// Messages that wait.
    pub waiting: u64,
    /// Of those, messages that are due.
    pub due: u64,
}

/// What qmail-send knows of a message.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Standing {
    /// On the local and the remote channel.
    pub channels: [Option<Place>; 2],
    /// All recipients are done; it is bounced or removed then.
    pub finishing: Option<i64>,
    /// The recipient of a message that is in its first try, or waits for it,
    /// without a file of recipients.
    pub single: Option<Vec<u8>>,
}

/// Where a message is on a channel.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Place {
    /// It waits.
    Waiting {
        /// Until then, Unix time.
        due: i64,
    },
    /// It was due, and is held.
    Held {
        /// Since then.
        due: i64,
    },
    /// It is being delivered.
    Running {
        /// To these recipients now.
        recipients: Vec<Vec<u8>>,
        /// What is left is tried again then.
        next: i64,
    },
}

/// A message that waits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// Its number.
    pub id: u64,
    /// On the remote channel.
    pub is_remote: bool,
    /// Until when.
    pub due: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Decoder, FRAME_BYTES_MAX, encode};

    #[test]
    fn the_largest_of_both_fit_into_a_frame() {
        let question = Question::Retry(vec![u64::MAX; MESSAGES_MAX]);
        let waiting = Waiting {
            id: u64::MAX,
            is_remote: true,
            due: i64::MIN,
        };
        let answer = Answer::Waiting(vec![waiting; WAITING_MAX]);
        let wire = encode(VERSION, &question).unwrap();
        assert!(wire.len() < FRAME_BYTES_MAX);
        let mut decoder = Decoder::default();
        decoder.push(&wire);
        assert_eq!(decoder.next(VERSION).unwrap(), Some(question));
        decoder.push(&encode(VERSION, &answer).unwrap());
        assert_eq!(decoder.next(VERSION).unwrap(), Some(answer));
    }
}
