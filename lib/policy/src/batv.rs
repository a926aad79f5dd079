//! BATV: bounces of our own mail carry a tag only we can make
//! (smtp-receiving.md §2.11).
//!
//! `prvs=KDDDSSSSSS=local@domain`: the number of the key, the day, and three
//! bytes of a keyed MD5. They are few; what a forger gains is one bounce.

use md5::{Digest, Md5};

const PREFIX: &[u8] = b"prvs=";
/// `KDDDSSSSSS`.
const TAG_BYTES: usize = 10;
/// Days are counted in three digits.
const DAYS: u64 = 1000;
const DAY_SECONDS: u64 = 86_400;

/// The day a time is on, as a tag has it.
pub fn day(unix_seconds: i64) -> u16 {
    let days = unix_seconds.unsigned_abs() / DAY_SECONDS;
    (days % DAYS) as u16
}

/// What is known about an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tag {
    /// It has no tag.
    None,
    /// It has one that is not ours.
    Bad,
    /// It had ours.
    Expired,
    /// It has ours; this is the address without it.
    Good(Vec<u8>),
}

/// Tags a sender. What has a tag, and what has no sender, stays as it is.
pub fn sign(key: &[u8], day: u16, address: &[u8]) -> Vec<u8> {
    if address.is_empty() || is_tagged(address) || !address.contains(&b'@') {
        return address.to_vec();
    }
    let head = format!("0{:03}", u64::from(day) % DAYS);
    let hash = hash(head.as_bytes(), address, key);
    [PREFIX, head.as_bytes(), hash.as_bytes(), b"=", address].concat()
}

/// Reads the tag of an address; any of the keys may have made it.
pub fn verify(keys: &[Vec<u8>], today: u16, days_max: u16, address: &[u8]) -> Tag {
    if !is_tagged(address) {
        return Tag::None;
    }
    let rest = &address[PREFIX.len()..];
    let (Some(tag), Some((b'=', original))) =
        (rest.get(..TAG_BYTES), rest[TAG_BYTES..].split_first())
    else {
        return Tag::Bad;
    };
    let digits = tag
        .get(1..4)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let (Some(b'0'), Some(digits)) = (tag.first(), digits) else {
        return Tag::Bad;
    };
    let is_ours = keys.iter().any(|key| {
        let right = hash(&tag[..4], original, key);
        right.as_bytes().eq_ignore_ascii_case(&tag[4..])
    });
    if !is_ours {
        return Tag::Bad;
    }
    let made = digits
        .iter()
        .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    // The count begins again every thousand days.
    let age = (u64::from(today) + DAYS - made) % DAYS;
    match age <= u64::from(days_max) {
        true => Tag::Good(original.to_vec()),
        false => Tag::Expired,
    }
}

fn is_tagged(address: &[u8]) -> bool {
    17 <= address.len()
        && address
            .get(..PREFIX.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(PREFIX))
}

fn hash(head: &[u8], address: &[u8], key: &[u8]) -> String {
    let mut md5 = Md5::new();
    md5.update(head);
    md5.update(address);
    md5.update(key);
    let digest = md5.finalize();
    digest[..3]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &[u8] = b"user@example.com";

    fn check(today: u16, address: &[u8]) -> Tag {
        verify(&[b"other".to_vec(), b"secret".to_vec()], today, 7, address)
    }

    // Acceptance 29.
    #[test]
    fn the_documented_tag_is_made_and_read() {
        let tagged = sign(b"secret", 123, ADDRESS);
        assert_eq!(tagged, b"prvs=01230e4237=user@example.com");
        assert_eq!(check(123, &tagged), Tag::Good(ADDRESS.to_vec()));
        assert_eq!(check(130, &tagged), Tag::Good(ADDRESS.to_vec()));
        assert_eq!(check(131, &tagged), Tag::Expired);
        assert_eq!(check(122, &tagged), Tag::Expired);
        assert_eq!(check(123, &tagged.to_ascii_uppercase()), Tag::Bad);
        assert_eq!(
            check(123, b"PRVS=01230E4237=user@example.com"),
            Tag::Good(ADDRESS.to_vec())
        );
        let late = sign(b"secret", 998, ADDRESS);
        assert_eq!(check(2, &late), Tag::Good(ADDRESS.to_vec()));
    }

    #[test]
    fn other_addresses_have_no_tag_or_a_bad_one() {
        assert_eq!(check(1, ADDRESS), Tag::None);
        assert_eq!(check(1, b""), Tag::None);
        for bad in [
            &b"prvs=11230e4237=user@example.com"[..],
            b"prvs=01230e4238=user@example.com",
            b"prvs=0123=user@example.com",
            b"prvs=x1230e4237=user@example.com",
            b"prvs=noequalsanywhere@example.com",
        ] {
            assert_eq!(
                check(123, bad),
                Tag::Bad,
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
        assert_eq!(sign(b"k", 1, b""), b"");
        assert_eq!(
            sign(b"k", 1, b"prvs=01230e4237=u@e.test"),
            b"prvs=01230e4237=u@e.test"
        );
    }

    #[test]
    fn what_is_signed_is_verified() {
        property::holds(|u| {
            let (key, bytes) = (property::bytes(u)?, property::bytes(u)?);
            let day: u16 = u.arbitrary()?;
            let address = [&bytes[..], b"@b.test"].concat();
            let day = day % 1000;
            let tagged = sign(&key, day, &address);
            let tag = verify(&[key], day, 0, &tagged);
            if !is_tagged(&address) {
                assert_eq!(tag, Tag::Good(address));
            }
            Ok(())
        });
    }
}
