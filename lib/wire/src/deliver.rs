//! qmail-lspawn ↔ the delivery worker for virtual users.
//!
//! A request carries the message as an open descriptor beside it
//! (`SCM_RIGHTS`), positioned at its start; reports come back in any order.
//! The worker runs as the owner of the virtual mail and takes requests from
//! root (or, in a single-user installation, from its own user) only.

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 1;

/// One delivery: the arguments of qmail-local(8).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// Number chosen by the client, given back in the report.
    pub delivery: u64,
    /// Name of the user, for virtual domains the domain.
    #[serde(with = "serde_bytes")]
    pub user: Vec<u8>,
    /// Home directory, absolute.
    #[serde(with = "serde_bytes")]
    pub home: Vec<u8>,
    /// Local part of the rewritten recipient.
    #[serde(with = "serde_bytes")]
    pub local: Vec<u8>,
    /// Dash: empty or `-`.
    #[serde(with = "serde_bytes")]
    pub dash: Vec<u8>,
    /// Extension: what `.qmail` files are chosen by.
    #[serde(with = "serde_bytes")]
    pub ext: Vec<u8>,
    /// Domain of the recipient.
    #[serde(with = "serde_bytes")]
    pub domain: Vec<u8>,
    /// Envelope sender.
    #[serde(with = "serde_bytes")]
    pub sender: Vec<u8>,
    /// Instructions used when there is no `.qmail` file.
    #[serde(with = "serde_bytes")]
    pub default_delivery: Vec<u8>,
    /// Header lines put in front (QQEH).
    #[serde(with = "serde_bytes")]
    pub extra_headers: Vec<u8>,
    /// Header lines that become variables (ENVHEADERS).
    #[serde(with = "serde_bytes")]
    pub env_headers: Vec<u8>,
}

/// How a delivery ended: an exit code of qmail-local(8) and its output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The number of the request.
    pub delivery: u64,
    /// 0, 100 or 111.
    pub code: u8,
    /// What qmail-local would have printed.
    #[serde(with = "serde_bytes")]
    pub output: Vec<u8>,
}
