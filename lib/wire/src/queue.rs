//! Programs that send many messages ↔ the persistent queue writer.
//!
//! One connection carries messages one after the other. For each the client
//! sends [`Request::Begin`], any number of [`Request::Data`], at most one
//! [`Request::Dsn`] and one [`Request::Commit`]; then it reads one [`Reply`]. A connection that ends
//! before `Commit` leaves nothing behind. The writer takes the client's user
//! from the socket, not from a message.

use serde::{Deserialize, Serialize};

use crate::trace::TraceId;

/// Version of this protocol.
pub const VERSION: u8 = 1;
/// Most bytes in one [`Request::Data`].
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// Most recipients of one message.
pub const RECIPIENTS_MAX: usize = 65_536;

/// From the client.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Request {
    /// A message starts.
    Begin {
        /// Its trace, born in the client.
        trace: TraceId,
        /// Where the message came from, for the `Received` line.
        remote_ip: Option<String>,
    },
    /// Bytes of the message, lines ending in LF, the client's own `Received`
    /// line first.
    Data(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The message is complete; its envelope.
    Commit {
        /// Envelope sender, empty for notifications.
        #[serde(with = "serde_bytes")]
        sender: Vec<u8>,
        /// Envelope recipients.
        recipients: Vec<Vec<u8>>,
        /// Header lines for the `e` record (QQEH), each ending in LF.
        #[serde(with = "serde_bytes")]
        extra_headers: Vec<u8>,
    },
    /// Forget the message that began.
    Abort,
    /// What the sender wants to be told of the message that began: the lines
    /// of [`crate::dsn`].
    Dsn(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// From the queue writer, after `Commit` (or early, when it cannot go on: the
/// client may then stop sending and must start over with a new connection).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Reply {
    /// Message and envelope are on disk.
    Queued {
        /// Number of the message in its queue.
        message: u64,
        /// Name of the queue, like `queue1`.
        queue: String,
        /// Process id for the `qp` of replies and logs.
        qp: u32,
    },
    /// Nothing was queued; an exit code of qmail-queue(8) and a text that
    /// names the cause.
    Refused {
        /// 11 to 40 are permanent, all others temporary.
        code: u8,
        /// For the log.
        text: String,
    },
}
