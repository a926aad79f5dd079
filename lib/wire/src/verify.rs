//! SMTP servers ↔ the verifier, which alone asks the internet about clients,
//! senders and messages.
//!
//! One connection carries questions one after the other, each answered before
//! the next; [`Request::Message`] is followed by its bytes and its end, and
//! only then answered. The verifier has no files, no users and no keys: all
//! it can do for somebody who took it over is to lie about strangers.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 3;
/// Most bytes in one [`Request::Data`].
pub const DATA_BYTES_MAX: usize = 256 * 1024;

/// A question.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// Is there anywhere to send mail for this domain?
    Domain(String),
    /// The name of an address that also has this address.
    Name(IpAddr),
    /// May this client send for this sender (SPF)?
    Sender(Sender),
    /// May this message come now, or must its client try again?
    Greylist(Greylist),
    /// A message follows; what is to be said about it (DKIM, DMARC)?
    Message(Message),
    /// Bytes of it, lines ending in LF.
    Data(#[serde(with = "serde_bytes")] Vec<u8>),
    /// It is complete.
    End,
    /// Is this address on a list in the DNS?
    Listed {
        /// Which address.
        ip: IpAddr,
        /// Name of the list.
        list: String,
        /// Its addresses say so; else its texts, which are wanted.
        by_address: bool,
    },
}

/// Who sends, and the local words on SPF.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sender {
    /// Address of the client.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: String,
    /// Envelope sender; empty for notifications.
    pub sender: String,
    /// Our name.
    pub host: String,
    /// `spfrules`: terms before the final `all` of each record.
    pub rules: Option<String>,
    /// `spfguess`: the record of domains without one.
    pub guess: Option<String>,
    /// `spfexp`: the explanation of domains without one.
    pub explanation: Option<String>,
}

/// A question to a greylisting server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Greylist {
    /// Where it is.
    pub server: SocketAddr,
    /// Address of the client.
    pub ip: IpAddr,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Envelope recipients.
    pub recipients: Vec<Vec<u8>>,
}

/// What is known about a message before its first byte.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message {
    /// As for [`Request::Sender`].
    pub sender: Sender,
    /// What that question was answered, when it was asked.
    pub spf: Option<Spf>,
    /// Name of the client, confirmed; for the results.
    pub client: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Reply {
    /// To `Domain`.
    Domain(Existence),
    /// To `Name`.
    Name(Option<String>),
    /// To `Sender`.
    Sender(Spf),
    /// To `Greylist`.
    Greylist(Grey),
    /// To `End`.
    Message(Verdict),
    /// The question could not be answered now; the text is for the log.
    Temporary(String),
    /// To `Listed`: the list's text, foreign, when the address is on it.
    Listed(Option<String>),
}

/// Whether mail for a domain has anywhere to go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Existence {
    /// It has exchangers or addresses.
    Exists,
    /// No such domain, or it takes no mail (RFC 7505).
    Absent,
    /// Nobody could tell.
    Unknown,
}

/// What SPF says (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum SpfResult {
    /// The client may.
    Pass,
    /// DNS did not answer.
    Error,
    /// The client may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The domain does not say.
    Neutral,
    /// The domain has no record.
    None,
    /// The record is broken.
    Unknown,
}

impl SpfResult {
    /// The word of `Received-SPF` and SPFRESULT (smtp-receiving.md §2.10).
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Error => "error",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// SPF of one sender.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Spf {
    /// What it says.
    pub result: SpfResult,
    /// Whose record was asked.
    pub domain: String,
    /// Why the client may not, in the domain's own words; foreign text.
    pub explanation: Option<String>,
}

/// What a greylisting server says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Grey {
    /// Take it.
    Accept,
    /// Not yet.
    Defer,
    /// It does not answer.
    Silent,
}

/// What is to be said about a message.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// The field `Authentication-Results`, lines ending in LF; empty when the
    /// message could not be looked at.
    pub results: Vec<u8>,
    /// What the owner of the author's domain wants done.
    pub dmarc: Dmarc,
    /// The author's domain.
    pub domain: String,
}

/// DMARC of a message (RFC 7489 §6.3), the worst last.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Dmarc {
    /// From whom it says it is.
    Pass,
    /// No policy, or it cannot be found out.
    #[default]
    None,
    /// Not from whom it says, and the owner does not mind.
    Fail,
    /// Not from whom it says; to be filed as junk.
    Quarantine,
    /// To be refused, unless what name servers did not tell now speaks for it.
    Unsure,
    /// Not from whom it says; to be refused.
    Reject,
    /// Nobody can tell from whom it is: its header does not end, or names
    /// nobody or a crowd.
    Nobody,
}
