//! The sender rewriting scheme: a forwarder puts a domain of its own into the
//! sender, so that the domain of the first sender need not allow it to send
//! (smtp-receiving.md §2.12).
//!
//! `SRS0=HHHH=TT=host=user@domain` stands for `user@host`, on day TT;
//! `SRS1=HHHH=host==HHHH=TT=host=user@domain` for an `SRS0` address of another
//! forwarder, `host`. The hash is a promise to ourselves: only who knows a
//! secret makes addresses that are taken back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Days are counted modulo this.
const DAYS: i64 = 1024;
const SECONDS_A_DAY: i64 = 86_400;
/// Digits of days.
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// A sender that stands for one to each recipient, or for a double bounce.
const TEMPLATE: &[u8] = b"@[]";
/// Longest address.
const ADDRESS_BYTES_MAX: usize = 1002;

/// What the site wants.
#[derive(Clone, Debug)]
pub struct Srs {
    /// Domain of rewritten addresses.
    pub domain: Vec<u8>,
    /// The first signs, all verify; never empty.
    pub secrets: Vec<Vec<u8>>,
    /// How old an address may be.
    pub days_max: i64,
    /// Characters of a hash that is made.
    pub hash_bytes: usize,
    /// Fewest characters of a hash that is believed.
    pub hash_bytes_min: usize,
    /// What follows `SRS0` and `SRS1`.
    pub separator: Separator,
    /// Rewrite senders of our own domain, too.
    pub always: bool,
}

/// What follows `SRS0` and `SRS1`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Separator {
    /// `=`
    #[default]
    Equals,
    /// `-`
    Minus,
    /// `+`
    Plus,
}

/// An address that looks like one of ours is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SrsError {
    /// It has not the form.
    #[error("malformed SRS address")]
    Form,
    /// Nobody who knows a secret made it.
    #[error("SRS address with a wrong hash")]
    Hash,
    /// It is too old.
    #[error("SRS address expired")]
    Expired,
}

impl Separator {
    /// Reads the setting.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"=" => Some(Self::Equals),
            b"-" => Some(Self::Minus),
            b"+" => Some(Self::Plus),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Equals => b'=',
            Self::Minus => b'-',
            Self::Plus => b'+',
        }
    }
}

impl Srs {
    /// The sender to forward under; `None` when the old one stays: nobody, a
    /// template, one without a domain or of our own domain, or one that would
    /// become too long.
    pub fn forward(&self, sender: &[u8], now_seconds: i64) -> Option<Vec<u8>> {
        if sender.is_empty() || sender.ends_with(TEMPLATE) {
            return None;
        }
        let at = sender.iter().rposition(|&b| b == b'@')?;
        let (user, host) = (&sender[..at], &sender[at + 1..]);
        let is_own = host.eq_ignore_ascii_case(&self.domain);
        if user.is_empty() || host.is_empty() || (is_own && !self.always) {
            return None;
        }
        let local = match tagged(user) {
            // The first forwarder stays, those between are left out.
            Some((Tag::Srs1, rest)) => {
                let (_, rest) = split(rest)?;
                let (host, user) = split(rest)?;
                self.chained(host, user)
            }
            // What follows SRS0, with its separator.
            Some((Tag::Srs0, _)) => self.chained(host, &user[4..]),
            None => self.first(host, user, now_seconds),
        };
        let new = [&local[..], b"@", &self.domain].concat();
        (new.len() <= ADDRESS_BYTES_MAX).then_some(new)
    }

    /// What one of our addresses stands for; `None` when this is none.
    pub fn reverse(&self, address: &[u8], now_seconds: i64) -> Option<Result<Vec<u8>, SrsError>> {
        let at = address.iter().rposition(|&b| b == b'@')?;
        if !address[at + 1..].eq_ignore_ascii_case(&self.domain) {
            return None;
        }
        let (tag, rest) = tagged(&address[..at])?;
        Some(match tag {
            Tag::Srs0 => self.reverse_first(rest, now_seconds),
            Tag::Srs1 => self.reverse_chained(rest),
        })
    }

    fn first(&self, host: &[u8], user: &[u8], now_seconds: i64) -> Vec<u8> {
        let day = now_seconds.div_euclid(SECONDS_A_DAY).rem_euclid(DAYS) as usize;
        let stamp = [DIGITS[day >> 5], DIGITS[day & 31]];
        let hash = self.hash(&self.secrets[0], &[&stamp, host, user]);
        let hash = &hash[..self.hash_bytes.clamp(1, hash.len())];
        let separator = [self.separator.byte()];
        [
            b"SRS0",
            &separator[..],
            hash,
            b"=",
            &stamp,
            b"=",
            host,
            b"=",
            user,
        ]
        .concat()
    }

    fn chained(&self, host: &[u8], user: &[u8]) -> Vec<u8> {
        let hash = self.hash(&self.secrets[0], &[host, user]);
        let hash = &hash[..self.hash_bytes.clamp(1, hash.len())];
        let separator = [self.separator.byte()];
        [b"SRS1", &separator[..], hash, b"=", host, b"=", user].concat()
    }

    fn reverse_first(&self, rest: &[u8], now_seconds: i64) -> Result<Vec<u8>, SrsError> {
        let (hash, rest) = split(rest).ok_or(SrsError::Form)?;
        let (stamp, rest) = split(rest).ok_or(SrsError::Form)?;
        let (host, user) = split(rest).ok_or(SrsError::Form)?;
        self.check(hash, &[stamp, host, user])?;
        let day = day_of(stamp).ok_or(SrsError::Form)?;
        let today = now_seconds.div_euclid(SECONDS_A_DAY);
        match (today - day).rem_euclid(DAYS) <= self.days_max {
            true => Ok([user, b"@", host].concat()),
            false => Err(SrsError::Expired),
        }
    }

    fn reverse_chained(&self, rest: &[u8]) -> Result<Vec<u8>, SrsError> {
        let (hash, rest) = split(rest).ok_or(SrsError::Form)?;
        let (host, user) = split(rest).ok_or(SrsError::Form)?;
        self.check(hash, &[host, user])?;
        Ok([b"SRS0", user, b"@", host].concat())
    }

    fn check(&self, hash: &[u8], parts: &[&[u8]]) -> Result<(), SrsError> {
        let is_of = |secret: &Vec<u8>| {
            let right = self.hash(secret, parts);
            let right = right.get(..hash.len()).unwrap_or_default();
            // Mail servers may change the case of a local part.
            right.eq_ignore_ascii_case(hash)
        };
        let long_enough = self.hash_bytes_min.max(1) <= hash.len();
        match long_enough && self.secrets.iter().any(is_of) {
            true => Ok(()),
            false => Err(SrsError::Hash),
        }
    }

    fn hash(&self, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret)
            .expect("a key of an HMAC may have any length (RFC 2104)");
        for part in parts {
            mac.update(&part.to_ascii_lowercase());
        }
        STANDARD.encode(mac.finalize().into_bytes()).into_bytes()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tag {
    Srs0,
    Srs1,
}

/// The tag of a local part and what follows its separator.
fn tagged(user: &[u8]) -> Option<(Tag, &[u8])> {
    let (tag, rest) = user.split_at_checked(4)?;
    let (separator, rest) = rest.split_first()?;
    if !b"=-+".contains(separator) {
        return None;
    }
    match &tag.to_ascii_uppercase()[..] {
        b"SRS0" => Some((Tag::Srs0, rest)),
        b"SRS1" => Some((Tag::Srs1, rest)),
        _ => None,
    }
}

/// Up to the next `=`, and what follows it; neither is empty.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == b'=')?;
    let (first, rest) = (&text[..at], &text[at + 1..]);
    (!first.is_empty() && !rest.is_empty()).then_some((first, rest))
}

fn day_of(stamp: &[u8]) -> Option<i64> {
    let digit = |byte: u8| {
        let byte = byte.to_ascii_uppercase();
        DIGITS.iter().position(|&digit| digit == byte)
    };
    match stamp {
        [high, low] => i64::try_from((digit(*high)? << 5) + digit(*low)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn srs(domain: &str) -> Srs {
        Srs {
            domain: domain.as_bytes().to_vec(),
            secrets: vec![b"new".to_vec(), b"old".to_vec()],
            days_max: 21,
            hash_bytes: 4,
            hash_bytes_min: 4,
            separator: Separator::default(),
            always: false,
        }
    }

    fn forward(srs: &Srs, sender: &str) -> Option<String> {
        let new = srs.forward(sender.as_bytes(), NOW)?;
        Some(String::from_utf8(new).unwrap())
    }

    fn reverse(srs: &Srs, address: &str, days: i64) -> Option<Result<String, SrsError>> {
        let old = srs.reverse(address.as_bytes(), NOW + days * SECONDS_A_DAY)?;
        Some(old.map(|old| String::from_utf8(old).unwrap()))
    }

    #[test]
    fn what_is_forwarded_comes_back_while_it_is_young() {
        let srs = srs("fwd.example");
        let new = forward(&srs, "ann=x@a.example").unwrap();
        assert!(new.starts_with("SRS0=") && new.ends_with("=a.example=ann=x@fwd.example"));
        let old = || Some(Ok("ann=x@a.example".to_owned()));
        assert_eq!(reverse(&srs, &new, 0), old());
        assert_eq!(reverse(&srs, &new.to_lowercase(), 21), old());
        assert_eq!(reverse(&srs, &new, 22), Some(Err(SrsError::Expired)));
        assert_eq!(reverse(&srs, &new, -1), Some(Err(SrsError::Expired)));
    }

    #[test]
    fn a_hash_that_is_not_ours_is_refused() {
        let ours = srs("fwd.example");
        let new = forward(&ours, "ann@a.example").unwrap();
        let mut other = srs("fwd.example");
        other.secrets = vec![b"other".to_vec()];
        assert_eq!(reverse(&other, &new, 0), Some(Err(SrsError::Hash)));
        let forged = new.replace("=ann@", "=bob@");
        assert_eq!(reverse(&ours, &forged, 0), Some(Err(SrsError::Hash)));
        // An old secret still verifies, a short hash does not.
        other.secrets = vec![b"newer".to_vec(), b"new".to_vec()];
        assert!(reverse(&other, &new, 0).unwrap().is_ok());
        let short = format!("SRS0={}", &new[6..]);
        assert_eq!(reverse(&ours, &short, 0), Some(Err(SrsError::Hash)));
        assert_eq!(
            reverse(&ours, "SRS0=x@fwd.example", 0),
            Some(Err(SrsError::Form))
        );
    }

    #[test]
    fn a_second_forwarder_keeps_the_first_and_a_third_leaves_the_second_out() {
        let (one, two, three) = (srs("one.example"), srs("two.example"), srs("three.example"));
        let first = forward(&one, "ann@a.example").unwrap();
        let second = forward(&two, &first).unwrap();
        assert!(second.starts_with("SRS1=") && second.contains("=one.example=="));
        let third = forward(&three, &second).unwrap();
        assert!(third.contains("=one.example==") && !third.contains("two.example"));
        assert_eq!(reverse(&three, &third, 0), Some(Ok(first.clone())));
        assert_eq!(reverse(&two, &second, 0), Some(Ok(first.clone())));
        assert_eq!(
            reverse(&one, &first, 0),
            Some(Ok("ann@a.example".to_owned()))
        );
    }

    #[test]
    fn nobody_templates_and_our_own_stay() {
        let mut srs = srs("fwd.example");
        for sender in [
            "",
            "#@[]",
            "list-owner-@x-@[]",
            "local",
            "@x",
            "a@",
            "ann@FWD.example",
        ] {
            assert_eq!(forward(&srs, sender), None, "{sender}");
        }
        assert_eq!(reverse(&srs, "ann@fwd.example", 0), None);
        assert_eq!(reverse(&srs, "SRS0=a=b=c=d@other.example", 0), None);
        srs.always = true;
        assert!(forward(&srs, "ann@fwd.example").is_some());
        assert_eq!(forward(&srs, &format!("{}@x", "y".repeat(1000))), None);
    }

    #[test]
    fn every_separator_and_any_address_comes_back() {
        property::holds(|u| {
            let mut srs = srs("fwd.example");
            srs.separator = *u.choose(&[Separator::Equals, Separator::Minus, Separator::Plus])?;
            let (user, host) = (property::bytes(u)?, property::bytes(u)?);
            let clean = |bytes: &[u8]| !bytes.is_empty() && !bytes.contains(&b'@');
            let sender = [&user[..], b"@", &host].concat();
            if !clean(&user) || !clean(&host) || host.contains(&b'=') || tagged(&user).is_some() {
                // Whatever it is, nothing breaks.
                let _ = srs.forward(&sender, NOW);
                let _ = srs.reverse(&sender, NOW);
                return Ok(());
            }
            if let Some(new) = srs.forward(&sender, NOW) {
                assert_eq!(srs.reverse(&new, NOW), Some(Ok(sender)));
            }
            Ok(())
        });
    }
}
