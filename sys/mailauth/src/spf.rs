//! SPF: may this client send for this domain?

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::{Duration, Instant};

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::spf::{Macro, Spf as Record};
use mail_auth::{Parameters, ResolverCache, SpfOutput, SpfResult as Result, Txt};
use wire::verify::{Sender, Spf, SpfResult};

use crate::Authenticator;
use crate::voids::Voids;

/// Longest evaluation of one record, includes and all.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Where a local explanation is served; the name exists nowhere (RFC 2606).
const EXPLANATION_NAME: &str = "spfexp.invalid";

impl Authenticator {
    /// Evaluates SPF for a sender, with the local rules of the site.
    pub async fn spf(&self, question: &Sender) -> Spf {
        let output = match tokio::time::timeout(TIME_MAX, self.evaluate(question)).await {
            Ok(output) => output,
            Err(_) => SpfOutput::new(domain_of(question).to_owned()).with_result(Result::TempError),
        };
        Spf {
            result: from_output(output.result()),
            domain: output.domain().to_owned(),
            explanation: output.explanation().map(str::to_owned),
        }
    }

    async fn evaluate(&self, question: &Sender) -> SpfOutput {
        let domain = domain_of(question);
        if question.ip.to_canonical().is_loopback() {
            return SpfOutput::new(domain.to_owned()).with_result(Result::Pass);
        }
        let answer = |result| SpfOutput::new(domain.to_owned()).with_result(result);
        let Ok(name) = dns::Domain::parse(domain) else {
            return answer(Result::None);
        };
        let records = match self.resolver().txt(&name).await {
            Ok(records) => records,
            Err(error) if error.is_temporary() => return answer(Result::TempError),
            Err(_) => Vec::new(),
        };
        let mut records = records.into_iter().filter(|record| is_spf(record));
        let record = match (records.next(), records.next(), &question.guess) {
            (Some(record), None, _) => String::from_utf8_lossy(&record).into_owned(),
            // RFC 7208 §4.5: two are as good as a broken one.
            (Some(_), Some(_), _) => return answer(Result::PermError),
            (None, _, Some(guess)) => format!("v=spf1 {guess}"),
            (None, _, None) => return answer(Result::None),
        };
        // RFC 7208 §4.6: what is not known is not skipped.
        if record.split_ascii_whitespace().skip(1).any(is_unknown) {
            return answer(Result::PermError);
        }
        let mut record = match &question.rules {
            Some(rules) => with_rules(&record, rules),
            None => record,
        };
        if question.explanation.is_some() && !record.contains("exp=") {
            record += &format!(" exp={EXPLANATION_NAME}");
        }
        let local = Local {
            domain: format!("{name}."),
            record: Record::parse(record.as_bytes()).into(),
            explanation: question
                .explanation
                .as_ref()
                .map(|text| Macro::parse(text.as_bytes()).into()),
        };
        let voids = Voids::of(question.ip.to_canonical());
        let parameters = Parameters::new(parameters(question))
            .with_txt_cache(&local)
            .with_mx_cache(&voids)
            .with_ptr_cache(&voids)
            .with_ipv4_cache(&voids)
            .with_ipv6_cache(&voids);
        let output = self.inner.check_host(parameters).await;
        match voids.are_too_many() {
            true => answer(Result::PermError),
            false => output,
        }
    }
}

/// Whose record decides: the sender's domain, or the client's own name for
/// notifications (RFC 7208 §2.4).
pub(crate) fn domain_of(question: &Sender) -> &str {
    match question.sender.rsplit_once('@') {
        Some((_, domain)) => domain,
        None => &question.helo,
    }
}

pub(crate) fn parameters(question: &Sender) -> SpfParameters<'_> {
    let ip = question.ip.to_canonical();
    match question.sender.rsplit_once('@') {
        Some((_, domain)) => {
            SpfParameters::new(ip, domain, &question.helo, &question.host, &question.sender)
        }
        None => SpfParameters::verify_ehlo(ip, &question.helo, &question.host),
    }
}

fn is_spf(record: &[u8]) -> bool {
    record
        .strip_prefix(b"v=spf1")
        .is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

/// A term that is neither a modifier nor a mechanism there is.
fn is_unknown(term: &str) -> bool {
    const MECHANISMS: [&str; 8] = ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"];
    let term = term.trim_start_matches(['+', '-', '~', '?']);
    let end = term.find([':', '/', '=']).unwrap_or(term.len());
    let is_modifier = term[end..].starts_with('=');
    !is_modifier
        && !MECHANISMS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&term[..end]))
}

/// Local terms come just before a final `all` that refuses, and after a
/// record without one (smtp-receiving.md §2.10).
fn with_rules(record: &str, rules: &str) -> String {
    let terms: Vec<&str> = record.split_ascii_whitespace().collect();
    let is_refusal =
        |term: &&str| ["-all", "~all", "?all"].contains(&term.to_ascii_lowercase().as_str());
    let ends = terms
        .iter()
        .any(|term| term.eq_ignore_ascii_case("all") || term.eq_ignore_ascii_case("+all"));
    match terms.iter().position(is_refusal) {
        Some(at) => [&terms[..at], &[rules], &terms[at..]].concat().join(" "),
        None if ends => record.to_owned(),
        None => format!("{record} {rules}"),
    }
}

pub(crate) fn from_output(result: Result) -> SpfResult {
    match result {
        Result::Pass => SpfResult::Pass,
        Result::Fail => SpfResult::Fail,
        Result::SoftFail => SpfResult::SoftFail,
        Result::Neutral => SpfResult::Neutral,
        Result::TempError => SpfResult::Error,
        Result::PermError => SpfResult::Unknown,
        Result::None => SpfResult::None,
    }
}

pub(crate) fn to_output(spf: &Spf) -> SpfOutput {
    let result = match spf.result {
        SpfResult::Pass => Result::Pass,
        SpfResult::Fail => Result::Fail,
        SpfResult::SoftFail => Result::SoftFail,
        SpfResult::Neutral => Result::Neutral,
        SpfResult::Error => Result::TempError,
        SpfResult::Unknown => Result::PermError,
        SpfResult::None => Result::None,
    };
    SpfOutput::new(spf.domain.clone()).with_result(result)
}

/// One record of our own in front of the DNS.
struct Local {
    domain: String,
    record: Txt,
    explanation: Option<Txt>,
}

impl ResolverCache<Box<str>, Txt> for Local {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let is = |text: &str| Borrow::<Q>::borrow(&Box::<str>::from(text)) == name;
        if is(&self.domain) {
            return Some(self.record.clone());
        }
        let explains = is(&format!("{EXPLANATION_NAME}."));
        self.explanation.clone().filter(|_| explains)
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_terms_are_told_from_modifiers() {
        for term in [
            "-all",
            "A/24",
            "mx:b.test",
            "exp=why.test",
            "x-new=1",
            "?ip6:::1",
        ] {
            assert!(!is_unknown(term), "{term}");
        }
        assert!(is_unknown("nonsense:x") && is_unknown("-al"));
    }

    #[test]
    fn local_rules_come_before_a_refusal() {
        assert_eq!(
            with_rules("v=spf1 mx -all", "ip4:192.0.2.1"),
            "v=spf1 mx ip4:192.0.2.1 -all"
        );
        assert_eq!(with_rules("v=spf1 mx", "a"), "v=spf1 mx a");
        assert_eq!(with_rules("v=spf1 +all", "a"), "v=spf1 +all");
    }
}
