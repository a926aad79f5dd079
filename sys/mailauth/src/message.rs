//! DKIM and DMARC: who answers for this message?

use std::time::Duration;

use mail_auth::common::headers::HeaderWriter;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    AuthenticatedMessage, AuthenticationResults, DkimOutput, DkimResult, DmarcOutput, DmarcResult,
    SpfOutput, SpfResult,
};
use wire::verify::{Dmarc, Sender, Verdict};

use crate::spf::{domain_of, to_output};
use crate::{Authenticator, Examined};

/// Longest examination of one message.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Domains of authors that are asked for a policy; a message of more is
/// nobody's.
const AUTHORS_MAX: usize = 8;

impl Authenticator {
    /// Examines a message; `None` when that takes too long.
    pub async fn examine(&self, message: Examined) -> Option<Verdict> {
        let judge = self.judge(message);
        tokio::time::timeout(TIME_MAX, judge).await.ok()
    }

    async fn judge(&self, examined: Examined) -> Verdict {
        let finished = examined.finish();
        let about = &finished.about;
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
        let Some(message) = finished.message() else {
            return Verdict {
                results: field(&results),
                dmarc: Dmarc::Nobody,
                ..Verdict::default()
            };
        };
        let dkim = self.inner.verify_dkim(&message).await;
        let author = message.from().to_owned();
        let results = results.with_dkim_results(&dkim, &author);
        let is_unsure = spf.result() == SpfResult::TempError
            || dkim
                .iter()
                .any(|one| matches!(one.result(), DkimResult::TempError(_)));
        let (dmarc, verdict) = self
            .policy(&message, &dkim, &about.sender, &spf, is_unsure)
            .await;
        let mut results = field(&results);
        results.truncate(results.trim_ascii_end().len());
        results.extend_from_slice(dmarc_words(&dmarc, verdict).as_bytes());
        Verdict {
            results,
            dmarc: verdict,
            domain: dmarc.domain().to_owned(),
        }
    }

    /// The policy of the author's domain. Of several authors the strictest
    /// one counts (RFC 7489 §6.6.1), or a second one would be a way around
    /// that of the first.
    async fn policy(
        &self,
        message: &AuthenticatedMessage<'_>,
        dkim: &[DkimOutput<'_>],
        sender: &Sender,
        spf: &SpfOutput,
        is_unsure: bool,
    ) -> (DmarcOutput, Dmarc) {
        let mut authors: Vec<&String> = Vec::new();
        let domain = |address: &str| {
            address
                .rsplit_once('@')
                .map(|(_, domain)| domain.to_owned())
        };
        for author in &message.from {
            if !authors.iter().any(|known| domain(known) == domain(author)) {
                authors.push(author);
            }
        }
        if authors.is_empty() || AUTHORS_MAX < authors.len() {
            return (DmarcOutput::default(), Dmarc::Nobody);
        }
        let mut worst = (DmarcOutput::default(), Dmarc::None);
        for (at, author) in authors.into_iter().enumerate() {
            let one = AuthenticatedMessage {
                from: vec![author.clone()],
                ..AuthenticatedMessage::default()
            };
            let question = DmarcParameters::new(&one, dkim, domain_of(sender), spf);
            let dmarc = self.inner.verify_dmarc(question).await;
            let verdict = consequence(&dmarc, is_unsure);
            if at == 0 || worst.1 < verdict {
                worst = (dmarc, verdict);
            }
        }
        worst
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
    if dmarc.dmarc_record().is_none() {
        return Dmarc::None;
    }
    match dmarc.policy() {
        _ if is_unsure && dmarc.policy() != Policy::Reject => Dmarc::None,
        Policy::Reject if is_unsure => Dmarc::Unsure,
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
        Dmarc::Unsure => "temperror",
        Dmarc::Nobody => "permerror",
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
pub(crate) fn field(results: &AuthenticationResults<'_>) -> Vec<u8> {
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
