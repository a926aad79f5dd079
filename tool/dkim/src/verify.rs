//! Verifying: what signatures are worth, and what follows.

use mailauth::{Authenticator, Examined, Outcome, Signatures};
use run::{Exit, Settings};
use settings::Setting;
use settings::front_ends::{
    DKIMPRACTICE, DKIMVERIFY, NOSIGNATUREDOMAINS, SIGN_PRACTICE, SIGNATUREDOMAINS, UNSIGNED_FROM,
};
use settings::site::ME;
use wire::verify::{Message, Sender};

use crate::{Refusal, domain_of, single, unreadable};

/// Results for which the practice of a domain counts unless something else is
/// said.
const PRACTICE: &[u8] = b"FGHIJKLMNPQRSTUVWX";
const CODE_CONFIGURATION: u8 = 87;
const CODE_LATER: u8 = 71;

/// The fields that go before the message.
pub fn fields(settings: &Settings, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    let host = settings.line(&ME).map_err(unreadable)?.unwrap_or_default();
    let host = text::log::printable(&host, 255);
    let mut found = verify(settings, message, &host)?;
    if found.domain.is_empty() {
        let author = single(message, "From").and_then(|value| domain_of(&value));
        found.domain = author.unwrap_or_default();
    }
    let outcome = practice(settings, found.outcome, &found.domain)?;
    let letters = settings.line(&DKIMVERIFY).map_err(unreadable)?;
    let letters = letters.unwrap_or_default();
    let letter = outcome.letter();
    if letters.contains(&letter) {
        return Err(Refusal::Custom(format!("D{} (#5.7.1)", outcome.text())));
    }
    if letters.contains(&letter.to_ascii_lowercase()) {
        return Err(Refusal::Custom(format!("Z{} (#4.7.1)", outcome.text())));
    }
    let mut lines = format!("DKIM-Status: {}\n", outcome.text());
    if outcome != found.outcome {
        let old = found.outcome;
        lines += &format!("\t(old={}:{})\n", old.text(), old.code());
    }
    let mut lines = lines.into_bytes();
    // qmail-smtpd may have said more.
    let says = |field: message::Field<'_>| {
        field.is("Authentication-Results")
            && field
                .unfolded()
                .trim_ascii()
                .to_ascii_lowercase()
                .starts_with(host.to_ascii_lowercase().as_bytes())
    };
    if !message::fields(message).any(says) {
        lines.extend_from_slice(&found.results);
    }
    Ok(lines)
}

fn verify(settings: &Settings, message: &[u8], host: &str) -> Result<Signatures, Exit> {
    let trouble = |text: String| Exit::new(CODE_LATER, text);
    let authenticator = Authenticator::from_settings(settings)
        .map_err(|error| Exit::new(CODE_CONFIGURATION, run::chain(&error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| trouble(format!("cannot start: {error}")))?;
    let mut examined = Examined::new(about(host));
    examined.push(message);
    let strict = settings.variable(UNSIGNED_FROM.variable).is_some();
    let verified = runtime.block_on(authenticator.signatures(examined, host, strict));
    verified.ok_or_else(|| trouble("name servers do not answer".to_owned()))
}

/// Signatures do not depend on who sends.
fn about(host: &str) -> Message {
    Message {
        sender: Sender {
            ip: [127, 0, 0, 1].into(),
            helo: String::new(),
            sender: String::new(),
            host: host.to_owned(),
            rules: None,
            guess: None,
            explanation: None,
        },
        spf: None,
        client: None,
    }
}

/// What the site knows about the author's domain.
fn practice(settings: &Settings, outcome: Outcome, domain: &str) -> Result<Outcome, Exit> {
    let kind = settings.line(&SIGN_PRACTICE).map_err(unreadable)?;
    if !matches!(kind.as_deref(), Some(b"local" | b"adsp" | b"ssp")) {
        return Ok(outcome);
    }
    let letters = settings.line(&DKIMPRACTICE).map_err(unreadable)?;
    let letters = letters.filter(|letters| !letters.is_empty());
    if !letters
        .as_deref()
        .unwrap_or(PRACTICE)
        .contains(&outcome.letter())
    {
        return Ok(outcome);
    }
    let list = |setting: &'static Setting| -> Result<Vec<Vec<u8>>, Exit> {
        Ok(settings
            .list(setting)
            .map_err(unreadable)?
            .unwrap_or_default())
    };
    let has =
        |lines: &[Vec<u8>], name: &[u8]| lines.iter().any(|line| line.eq_ignore_ascii_case(name));
    if has(&list(&SIGNATUREDOMAINS)?, domain.as_bytes()) {
        return Ok(Outcome::FAILED);
    }
    let unsigned = list(&NOSIGNATUREDOMAINS)?;
    let listed = has(&unsigned, domain.as_bytes()) || has(&unsigned, b"*");
    Ok(match listed && outcome == Outcome::NONE {
        true => Outcome::NEUTRAL,
        false => outcome,
    })
}
