//! DKIM and DMARC: who answers for this message?

use std::time::Duration;

use mail_auth::common::headers::HeaderWriter;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    AuthenticatedMessage, AuthenticationResults, DkimResult, DmarcOutput, DmarcResult, SpfResult,
};
use wire::verify::{Dmarc, Message, Verdict};

use crate::Authenticator;
use crate::spf::{domain_of, to_output};

/// Longest examination of one message.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Signatures of one message that are looked at; each costs a question to the
/// DNS and an RSA operation.
const SIGNATURES_MAX: usize = 8;

/// A message, collected for examination.
#[derive(Debug)]
pub struct Examined {
    about: Message,
    bytes: Vec<u8>,
}

impl Examined {
    /// Begins.
    pub fn new(about: Message) -> Self {
        Self {
            about,
            bytes: Vec::new(),
        }
    }

    /// Takes bytes whose lines end in LF; signatures are about CR LF.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) => {
                    self.bytes.extend_from_slice(line);
                    self.bytes.extend_from_slice(b"\r\n");
                }
                None => self.bytes.extend_from_slice(piece),
            }
        }
    }

    /// How much memory it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl Authenticator {
    /// Examines a message.
    pub async fn examine(&self, message: &Examined) -> Verdict {
        let judged = tokio::time::timeout(TIME_MAX, self.judge(message)).await;
        judged.unwrap_or_default()
    }

    async fn judge(&self, examined: &Examined) -> Verdict {
        let about = &examined.about;
        let spf = match &about.spf {
            Some(spf) => spf.clone(),
            None => self.spf(&about.sender).await,
        };
        let spf = to_output(&spf);
        let sender = &about.sender;
        let ip = sender.ip.to_canonical();
        let results = AuthenticationResults::new(&sender.host);
        let results = match sender.sender.is_empty() {
            true => results.with_spf_ehlo_result(&spf, ip, &sender.helo),
            false => results.with_spf_mailfrom_result(&spf, ip, &sender.sender, &sender.helo),
        };
        let Some(mut message) = AuthenticatedMessage::parse(&examined.bytes) else {
            return Verdict {
                results: field(&results),
                ..Verdict::default()
            };
        };
        message.dkim_headers.truncate(SIGNATURES_MAX);
        let dkim = self.inner.verify_dkim(&message).await;
        let author = message.from().to_owned();
        let question = DmarcParameters::new(&message, &dkim, domain_of(&about.sender), &spf);
        let dmarc = self.inner.verify_dmarc(question).await;
        let results = results.with_dkim_results(&dkim, &author);
        let is_unsure = spf.result() == SpfResult::TempError
            || dkim
                .iter()
                .any(|one| matches!(one.result(), DkimResult::TempError(_)));
        let verdict = consequence(&dmarc, is_unsure);
        let mut results = field(&results);
        results.truncate(results.trim_ascii_end().len());
        results.extend_from_slice(dmarc_words(&dmarc, verdict).as_bytes());
        Verdict {
            results,
            dmarc: verdict,
            domain: dmarc.domain().to_owned(),
        }
    }
}

/// Neither SPF nor DKIM speaks for the author, and the domain has a policy:
/// that is a failure (RFC 7489 §6.6.2), which the library leaves open.
fn consequence(dmarc: &DmarcOutput, is_unsure: bool) -> Dmarc {
    let results = [dmarc.spf_result(), dmarc.dkim_result()];
    let is = |wanted: fn(&DmarcResult) -> bool| results.iter().any(|result| wanted(result));
    if is(|result| matches!(result, DmarcResult::Pass)) {
        return Dmarc::Pass;
    }
    // What could not be found out now may have been a pass.
    let is_unsure = is_unsure || is(|result| matches!(result, DmarcResult::TempError(_)));
    if is_unsure || dmarc.dmarc_record().is_none() {
        return Dmarc::None;
    }
    match dmarc.policy() {
        Policy::Reject => Dmarc::Reject,
        Policy::Quarantine => Dmarc::Quarantine,
        _ => Dmarc::Fail,
    }
}

fn dmarc_words(dmarc: &DmarcOutput, verdict: Dmarc) -> String {
    let word = match verdict {
        Dmarc::None if dmarc.dmarc_record().is_some() => "temperror",
        Dmarc::None => "none",
        Dmarc::Pass => "pass",
        Dmarc::Fail | Dmarc::Quarantine | Dmarc::Reject => "fail",
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let domain: String = dmarc.domain().chars().filter(|c| is_name(*c)).collect();
    let mut words = format!(";\n\tdmarc={word}");
    if !domain.is_empty() {
        words += &format!(" header.from={domain} policy.dmarc={}", dmarc.policy());
    }
    words + "\n"
}

/// The field with the line ends of the queue, and nothing in it that is not
/// printed: much of it is foreign.
fn field(results: &AuthenticationResults<'_>) -> Vec<u8> {
    let text = results.to_header();
    let lines = text.lines().map(|line| {
        let shown = |c: char| match c {
            '\t' | ' '..='~' => c,
            _ => '?',
        };
        line.chars().map(shown).chain(['\n']).collect::<String>()
    });
    lines.collect::<String>().into_bytes()
}
