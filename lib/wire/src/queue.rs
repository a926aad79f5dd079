//! Programs that send many messages ↔ the persistent queue writer.
//!
//! One connection carries messages one after the other. For each the client
//! sends [`Request::Begin`], any number of [`Request::Data`], at most one
//! [`Request::Dsn`] and what [`closing`] makes of the envelope, which ends with
//! one [`Request::Commit`]; then it reads one [`Reply`]. A connection that ends
//! before `Commit` leaves nothing behind. The writer takes the client's user
//! from the socket, not from a message.

use serde::{Deserialize, Serialize};

use crate::trace::TraceId;

/// Version of this protocol.
pub const VERSION: u8 = 1;
/// Most bytes in one [`Request::Data`].
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// Most recipients of one message; more are refused for ever.
pub const RECIPIENTS_MAX: u64 = 1_000_000;
/// Most bytes of recipients in one request.
const RECIPIENT_BYTES_MAX: usize = 256 * 1024;

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
    /// The message is complete; some of its recipients, before those of
    /// `Commit`. The sender is the same in all requests of a message.
    Recipients {
        /// Envelope sender.
        sender: Vec<u8>,
        /// Envelope recipients.
        recipients: Vec<Vec<u8>>,
    },
}

/// The requests that end a message: its recipients in pieces that fit into a
/// frame, the last with the commit.
pub fn closing(
    sender: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    extra_headers: Vec<u8>,
) -> impl Iterator<Item = Request> {
    let mut recipients = recipients.into_iter().peekable();
    let mut open = Some((sender, extra_headers));
    std::iter::from_fn(move || {
        let (sender, extra_headers) = open.take()?;
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while let Some(recipient) = recipients.next_if(|_| bytes < RECIPIENT_BYTES_MAX) {
            bytes += recipient.len() + LENGTH_BYTES;
            piece.push(recipient);
        }
        if recipients.peek().is_none() {
            return Some(Request::Commit {
                sender,
                recipients: piece,
                extra_headers,
            });
        }
        open = Some((sender.clone(), extra_headers));
        Some(Request::Recipients {
            sender,
            recipients: piece,
        })
    })
}

/// What a short string takes beside its bytes, at most.
const LENGTH_BYTES: usize = 3;

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

/// What a caller reports for an exit code of a queue program: `D` permanent
/// or `Z` temporary, then the text; empty for success. For code 88 it is the
/// text of a program that gave none.
pub fn report(code: u8) -> &'static str {
    match code {
        0 => "",
        11 | 115 => "Denvelope address too long for qq (#5.1.3)",
        31 => "Dmail server permanently rejected message (#5.3.0)",
        32 => "DSPAM or junk mail threshold exceeded (#5.7.1)",
        33 => "DMessage contains virus (#5.7.1)",
        34 => "DMessage contains banned attachment (#5.7.1)",
        35 => "DPrivate key file does not exist (#5.3.5)",
        50 => "Zunable to set uid/gid (#4.3.0)",
        51 => "Zqq out of memory (#4.3.0)",
        52 => "Zqq timeout (#4.3.0)",
        53 => "Zqq write error or disk full (#4.3.0)",
        54 => "Zqq read error (#4.3.0)",
        55 => "Zqq unable to read configuration (#4.3.0)",
        56 => "Zqq trouble making network connection (#4.3.0)",
        57 => "Zunable to open shared object/plugin (#4.3.0)",
        58 => "Zunable to find symbol in shared object/plugin (#4.3.0)",
        59 => "Zunable to close shared object/plugin (#4.3.0)",
        60 => "Zqq trouble creating pipes (#4.3.0)",
        61 => "Zqq trouble in home directory (#4.3.0)",
        62..=66 => "Zqq trouble creating files in queue (#4.3.0)",
        67 | 78 => "Zqq trouble getting uids/gids (#4.3.0)",
        68 => "Zqq trouble creating temporary files (#4.3.0)",
        69 => "Zqq trouble syncing directories in queue (#4.3.0)",
        70 | 80 | 83 => "Zqq trouble removing files in queue (#4.3.0)",
        71 => "Zmail server temporarily rejected message (#4.3.0)",
        72 => "Zconnection to mail server timed out (#4.4.1)",
        73 => "Zconnection to mail server rejected (#4.4.1)",
        74 => "Zcommunication with mail server failed (#4.4.2)",
        75 => "Zunable to exec filter (#4.3.0)",
        76 => "Ztemporary problem with SPAM filter (#4.3.0)",
        77 => "Zqq unable to run QHPSI scanner (#4.3.0)",
        79 | 91 => "Zqq envelope format error (#4.3.0)",
        81 => "Zqq internal bug (#4.3.0)",
        82 | 120 => "Zunable to exec qq (#4.3.0)",
        87 => "Zmail system incorrectly configured. (#4.3.5)",
        121 => "Zunable to fork filter (#4.3.0)",
        122 => "Zqq waitpid surprise (#4.3.0)",
        123 => "Zqq crashed (#4.3.0)",
        12..=40 => "Dqq permanent problem (#5.3.0)",
        _ => "Zqq temporary problem (#4.3.0)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    #[test]
    fn any_number_of_recipients_goes_in_frames() {
        for count in [0, 1, 300, 100_000] {
            let recipients: Vec<Vec<u8>> = (0..count)
                .map(|n: usize| format!("{n}@{}", "x".repeat(n % 990)).into_bytes())
                .collect();
            let requests: Vec<Request> =
                closing(b"a@b".to_vec(), recipients.clone(), b"X: y\n".to_vec()).collect();
            let mut seen = Vec::new();
            for (at, request) in requests.iter().enumerate() {
                frame::encode(VERSION, request).unwrap();
                let last = at + 1 == requests.len();
                match request {
                    Request::Recipients { sender, recipients } => {
                        assert!(!last && sender == b"a@b");
                        seen.extend(recipients.clone());
                    }
                    Request::Commit {
                        sender, recipients, ..
                    } => {
                        assert!(last && sender == b"a@b");
                        seen.extend(recipients.clone());
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(seen, recipients);
            assert!(300 < count || requests.len() == 1);
        }
    }
}
