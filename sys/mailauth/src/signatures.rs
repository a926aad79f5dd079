//! What the DKIM signatures of a message are worth, in the words of
//! qmail-dkim (smtp-receiving.md §5.8).

use std::time::Duration;

use mail_auth::common::crypto::CryptoError;
use mail_auth::dkim::DkimError;
use mail_auth::{
    AuthenticatedMessage, AuthenticationResults, DkimOutput, DkimResult, DnsError, Error,
};

use crate::{Authenticator, Examined};

/// Longest examination of one message.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A result: its number, from which its letter follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome(i8);

impl Outcome {
    /// All is well.
    pub const GOOD: Self = Self(0);
    /// Some of several signatures.
    pub const SOME: Self = Self(2);
    /// Nothing to hold against it.
    pub const NEUTRAL: Self = Self(3);
    /// By somebody who is not the author's domain.
    pub const THIRD_PARTY: Self = Self(5);
    /// Not what it should be.
    pub const FAILED: Self = Self(-1);
    const MALFORMED: Self = Self(-2);
    const RSA: Self = Self(-3);
    const OLD: Self = Self(-5);
    const REVOKED: Self = Self(-8);
    const DNS_TEMPORARY: Self = Self(-10);
    const DNS_PERMANENT: Self = Self(-11);
    const KEY: Self = Self(-12);
    /// There is none.
    pub const NONE: Self = Self(-13);
    const NONE_VALID: Self = Self(-14);
    const BODY: Self = Self(-15);
    const ALGORITHM: Self = Self(-16);
    const VERSION: Self = Self(-17);
    const UNSIGNED_FROM: Self = Self(-18);
    const IDENTITY: Self = Self(-19);

    /// The number.
    pub fn code(self) -> i8 {
        self.0
    }

    /// `A` and up for what is not negative, `G` and up below.
    pub fn letter(self) -> u8 {
        match u8::try_from(self.0) {
            Ok(code) => b'A' + code,
            Err(_) => b'F' + self.0.unsigned_abs(),
        }
    }

    /// For people.
    pub fn text(self) -> &'static str {
        match self.0 {
            0 => "good",
            1 => "no more body needed",
            2 => "at least one but not all verified",
            3 => "neutral (not suspicious)",
            4 => "verified but did not include all of the body",
            5 => "third-party signature",
            -2 => "signature could not be parsed / bad tags",
            -3 => "RSA verify failed",
            -4 => "RSA verify failed but testing",
            -5 => "x= is old",
            -6 => "selector invalid",
            -7 => "granularity g= mismatch",
            -8 => "key revoked (p= empty)",
            -9 => "selector domain name too long",
            -10 => "selector DNS temporary failure",
            -11 => "selector DNS permanent failure",
            -12 => "selector public key invalid",
            -13 => "no signatures",
            -14 => "no valid signatures",
            -15 => "body hash mismatch",
            -16 => "algorithm mismatch",
            -17 => "incompatible v=",
            -18 => "not all From headers signed",
            -19 => "bad identity",
            _ => "verification failed",
        }
    }
}

/// What was found out about a message.
#[derive(Clone, Debug)]
pub struct Signatures {
    /// All in all.
    pub outcome: Outcome,
    /// The author's domain, lower case; empty when there is none.
    pub domain: String,
    /// The field `Authentication-Results`, lines ending in LF.
    pub results: Vec<u8>,
}

impl Authenticator {
    /// Verifies the signatures of a message for a host of this name; every
    /// `From` must be signed when `strict`. `None` when it takes too long.
    pub async fn signatures(
        &self,
        message: Examined,
        host: &str,
        strict: bool,
    ) -> Option<Signatures> {
        let verify = self.verify(message, host, strict);
        tokio::time::timeout(TIME_MAX, verify).await.ok()
    }

    async fn verify(&self, examined: Examined, host: &str, strict: bool) -> Signatures {
        let finished = examined.finish();
        let Some(message) = finished.message() else {
            return Signatures {
                outcome: Outcome::NONE,
                domain: String::new(),
                results: Vec::new(),
            };
        };
        let outputs = self.inner.verify_dkim(&message).await;
        let author = message.from().to_owned();
        let domain = author.rsplit_once('@').map_or("", |(_, domain)| domain);
        let domain = domain.to_ascii_lowercase();
        let results = AuthenticationResults::new(host).with_dkim_results(&outputs, &author);
        Signatures {
            outcome: outcome(&message, &outputs, &domain, strict),
            results: crate::message::field(&results),
            domain,
        }
    }
}

fn outcome(
    message: &AuthenticatedMessage<'_>,
    outputs: &[DkimOutput<'_>],
    domain: &str,
    strict: bool,
) -> Outcome {
    let authors = message
        .headers
        .iter()
        .filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case(b"from"))
        .count();
    let each: Vec<Outcome> = outputs
        .iter()
        .map(|output| match output.result() {
            DkimResult::Pass => passed(output, domain, authors, strict),
            DkimResult::None => Outcome::NONE,
            DkimResult::Neutral(error)
            | DkimResult::Fail(error)
            | DkimResult::PermError(error)
            | DkimResult::TempError(error) => of_error(error),
        })
        .collect();
    let good = each.iter().filter(|&&one| one == Outcome::GOOD).count();
    match &each[..] {
        [] if message.has_dkim_errors => Outcome::MALFORMED,
        [] => Outcome::NONE,
        all if good == all.len() => Outcome::GOOD,
        [only] => *only,
        _ if 0 < good => Outcome::SOME,
        all if all.contains(&Outcome::THIRD_PARTY) => Outcome::THIRD_PARTY,
        _ => Outcome::NONE_VALID,
    }
}

fn passed(output: &DkimOutput<'_>, domain: &str, authors: usize, strict: bool) -> Outcome {
    let Some(signature) = output.signature() else {
        return Outcome::GOOD;
    };
    let from = |name: &&String| name.eq_ignore_ascii_case("from");
    if strict && signature.h.iter().filter(from).count() < authors {
        return Outcome::UNSIGNED_FROM;
    }
    let signer = signature.d.to_ascii_lowercase();
    let is_author = domain == signer || domain.ends_with(&format!(".{signer}"));
    match is_author {
        true => Outcome::GOOD,
        false => Outcome::THIRD_PARTY,
    }
}

fn of_error(error: &Error) -> Outcome {
    match error {
        Error::Dns(DnsError::Resolver(_)) => Outcome::DNS_TEMPORARY,
        Error::Dns(DnsError::RecordNotFound(_)) => Outcome::DNS_PERMANENT,
        Error::Dns(DnsError::InvalidRecordType) => Outcome::KEY,
        Error::Dkim(DkimError::FailedBodyHashMatch) => Outcome::BODY,
        Error::Dkim(DkimError::SignatureExpired) => Outcome::OLD,
        Error::Dkim(DkimError::RevokedPublicKey) => Outcome::REVOKED,
        Error::Dkim(DkimError::FailedAuidMatch) => Outcome::IDENTITY,
        Error::Dkim(DkimError::UnsupportedVersion) => Outcome::VERSION,
        Error::Dkim(DkimError::UnsupportedAlgorithm | DkimError::UnsupportedKeyType) => {
            Outcome::ALGORITHM
        }
        Error::Dkim(DkimError::UnsupportedCanonicalization | DkimError::SignatureLength) => {
            Outcome::MALFORMED
        }
        Error::Crypto(CryptoError::IncompatibleAlgorithms) => Outcome::ALGORITHM,
        Error::Crypto(_) => Outcome::RSA,
        // The record of the key.
        Error::ParseError | Error::Base64 | Error::MissingParameters => Outcome::KEY,
        _ => Outcome::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_follow_from_numbers() {
        let letter = |code| char::from(Outcome(code).letter());
        assert_eq!([0, 3, 5].map(letter), ['A', 'D', 'F']);
        assert_eq!(
            [-1, -3, -13, -15, -19].map(letter),
            ['G', 'I', 'S', 'U', 'Y']
        );
        for code in -19..=5 {
            assert!(!Outcome(code).text().is_empty());
        }
    }
}
