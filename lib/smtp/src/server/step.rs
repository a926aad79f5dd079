//! What a session wants done, and what it is told.

use std::sync::Arc;
use std::time::Duration;

use policy::envrules::Change;
use wire::lookup;
use wire::trace::{Kind, TraceId};

use super::Config;

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Nothing, until bytes arrive or the timer runs out.
    Wait,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Find out whether the mailbox exists: [`Answer::Mailbox`].
    AskMailbox(Vec<u8>),
    /// Find out whether this sender has just read mail from where the client
    /// is: [`Answer::Relay`].
    AskRelay(Vec<u8>),
    /// Find out whether mail is held for these domains: [`Answer::Held`].
    AskHeld(Vec<Vec<u8>>),
    /// Put the question to inlookup: [`Answer::Login`].
    AskLogin(sasl::server::Question),
    /// Read the settings with these variables changed, for one transaction:
    /// [`Answer::Policy`].
    AskPolicy(Vec<Change>),
    /// Put the question to the verifier: [`Answer::Verified`]. The last one,
    /// [`wire::verify::Request::End`], is about the message that was begun
    /// with [`Step::Examine`].
    AskVerifier(Box<wire::verify::Request>),
    /// Tell the verifier that a message follows; what is appended from now on
    /// goes to it as well. No answer.
    Examine(Box<wire::verify::Message>),
    /// Open a message at the queue and write its first lines:
    /// [`Answer::Begun`] or [`Answer::Refused`].
    Begin {
        /// Its trace.
        trace: TraceId,
        /// `Received`.
        header: Vec<u8>,
        /// What the sender wants to be told, as lines of [`wire::dsn`].
        wishes: Vec<u8>,
    },
    /// Write these bytes to the open message. Trouble is told at `Commit`.
    Append(Vec<u8>),
    /// The message is complete: [`Answer::Queued`] or [`Answer::Refused`].
    Commit {
        /// Envelope sender.
        sender: Vec<u8>,
        /// Envelope recipients; none means that the message is thrown away
        /// (abort it and answer `Queued`).
        recipients: Vec<Vec<u8>>,
        /// Lines to put before the message.
        extra_headers: Vec<u8>,
    },
    /// Forget the open message.
    Abort,
    /// Do the handshake; then [`super::Session::tls_started`], or close.
    StartTls,
    /// Wait before the next step.
    Pause(Duration),
    /// Wait, and hand over what the client says meanwhile.
    Listen(Duration),
    /// Write a log line.
    Log(String),
    /// Send a trace event.
    Event(Note),
    /// Close the connection, after what was sent has arrived.
    Close,
}

/// What a trace event is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The message it belongs to.
    pub trace: TraceId,
    /// `Received` or `Refused`.
    pub kind: Kind,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Recipients it is about.
    pub recipients: Vec<Vec<u8>>,
    /// Size, once known.
    pub bytes: Option<u64>,
    /// The reply.
    pub text: String,
}

/// An answer to a [`Step`] that asks.
#[derive(Debug)]
pub enum Answer {
    /// To `AskMailbox`.
    Mailbox(Mailbox),
    /// To `AskRelay`; an error is why there is no answer now.
    Relay(Result<bool, String>),
    /// To `AskHeld`.
    Held(Held),
    /// To `AskLogin`; [`lookup::Reply::Temporary`] when nobody can be asked.
    Login(Box<lookup::Reply>),
    /// To `AskVerifier`; [`wire::verify::Reply::Temporary`] when nobody can be
    /// asked.
    Verified(Box<wire::verify::Reply>),
    /// To `AskPolicy`; `None` when the settings cannot be read.
    Policy(Option<Arc<Config>>),
    /// To `Begin`: bytes can come.
    Begun,
    /// To `Commit`: message and envelope are on disk.
    Queued {
        /// Process id for the reply and the log.
        qp: u32,
    },
    /// To `Begin` and `Commit`: an exit code of qmail-queue(8).
    Refused {
        /// The code; 88 when `text` is the reply (`D` or `Z` first).
        code: u8,
        /// For the log, or the custom text of code 88.
        text: String,
    },
}

/// What is held for hosts that fetch their mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Something, which cannot be handed over now.
    Unreachable,
}

/// The state of a mailbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mailbox {
    /// It exists, or nobody here can tell and it must not be refused.
    Fine,
    /// It does not exist.
    Absent,
    /// It is switched off.
    Inactive,
    /// It is full.
    OverQuota,
    /// The answer is not to be had now; for the log.
    Temporary(String),
}
