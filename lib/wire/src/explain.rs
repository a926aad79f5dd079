//! indimail ↔ qmail-smtpd, when somebody asks what it would do with a message
//! and why: one question as JSON on standard input, one answer on standard
//! output.

use serde::{Deserialize, Serialize};

use crate::lookup::Account;

/// Who sends what to whom.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Question {
    /// Address of the client.
    pub ip: String,
    /// Its name, when it has one.
    pub host: Option<String>,
    /// It speaks TLS.
    pub tls: bool,
    /// Who logged in.
    pub login: Option<Account>,
    /// What it calls itself.
    pub hello: String,
    /// The size it announces.
    pub size: Option<u64>,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
}

/// What would happen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Explanation {
    /// From the connection to the last thing the client says.
    pub steps: Vec<Step>,
    /// What becomes of the message.
    pub verdict: Verdict,
}

/// What becomes of the message.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may come, to all recipients.
    Taken,
    /// It may come, to some of them.
    TakenForSome,
    /// Not now.
    Deferred,
    /// Never.
    #[default]
    Refused,
}

/// One thing the client does.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Step {
    /// Its command; empty for the connection itself.
    pub said: String,
    /// The rules that spoke, in their order.
    pub rules: Vec<Rule>,
    /// What the log would say.
    pub log: Vec<String>,
    /// How long the client waits for the answer.
    pub waits_seconds: u64,
    /// The answer, line by line.
    pub reply: Vec<String>,
}

/// A rule that spoke.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rule {
    /// The name `indimail explain` knows it by; `None` for what always holds.
    pub setting: Option<String>,
    /// The file, the variable or the default its value is from.
    pub from: String,
    /// Number of the line in that file.
    pub line: Option<usize>,
    /// The line, or the value.
    pub text: Option<String>,
    /// What follows.
    pub says: String,
}
