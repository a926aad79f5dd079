//! Sequence sets: `1:3,7,10:*` (RFC 3501 §9, `sequence-set`).

use std::ops::RangeInclusive;

/// One end of a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// A number above zero.
    Number(u32),
    /// The largest number in use.
    Star,
}

/// A set of sequence numbers or UIDs as the client wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SequenceSet(Vec<(Bound, Bound)>);

/// A set whose `*` has become a number: disjoint ranges in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Numbers(Vec<RangeInclusive<u32>>);

impl SequenceSet {
    /// Parses the whole text; `None` when it is not a set.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bound = |text: &[u8]| match text {
            b"*" => Some(Bound::Star),
            _ => number(text).map(Bound::Number),
        };
        let range = |text: &[u8]| match memchr::memchr(b':', text) {
            Some(colon) => Some((bound(&text[..colon])?, bound(&text[colon + 1..])?)),
            None => bound(text).map(|bound| (bound, bound)),
        };
        text.split(|&b| b == b',')
            .map(range)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Gives `*` its value. RFC 3501 §6.4.8: `559:*` always includes the
    /// largest number, even when that is below 559. With nothing in use, `*`
    /// stands for nothing.
    pub fn resolve(&self, largest: u32) -> Numbers {
        let value = |bound| match bound {
            Bound::Number(number) => number,
            Bound::Star => largest,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(a, b)| (value(a), value(b)))
            .map(|(a, b)| (a.min(b), a.max(b)))
            .filter(|&(_, high)| 0 < high)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.end().saturating_add(1) => {
                    *last = *last.start()..=high.max(*last.end());
                }
                _ => merged.push(low..=high),
            }
        }
        Numbers(merged)
    }

    /// The largest number written out, if `*` is not in it.
    pub fn largest(&self) -> Option<u32> {
        let number = |bound| match bound {
            Bound::Number(number) => Some(number),
            Bound::Star => None,
        };
        self.0
            .iter()
            .map(|&(a, b)| Some(number(a)?.max(number(b)?)))
            .try_fold(0, |largest, number| Some(largest.max(number?)))
    }
}

impl Numbers {
    /// Says whether a number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|range| *range.end() < number);
        self.0.get(at).is_some_and(|range| range.contains(&number))
    }

    /// The ranges, disjoint and in order.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.0
    }
}

impl FromIterator<u32> for Numbers {
    /// Collects numbers that come in ascending order.
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(number) => {
                    *last = *last.start()..=number;
                }
                _ => ranges.push(number..=number),
            }
        }
        Self(ranges)
    }
}

/// Prints numbers as a set, in the order given: the order of COPYUID matters.
pub fn print(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some((&first, _)) = rest.split_first() {
        let run = rest
            .iter()
            .zip(0u32..)
            .take_while(|&(&number, offset)| first.checked_add(offset) == Some(number))
            .count();
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&first.to_string());
        if 1 < run {
            text.push(':');
            text.push_str(&rest[run - 1].to_string());
        }
        rest = &rest[run..];
    }
    text
}

/// Parses `nz-number`: digits, no leading zero, at most 2³² − 1.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit);
    if !digits || matches!(text.first(), None | Some(b'0')) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, largest: u32) -> Vec<(u32, u32)> {
        let set = SequenceSet::parse(text.as_bytes()).unwrap();
        let numbers = set.resolve(largest);
        numbers
            .ranges()
            .iter()
            .map(|range| (*range.start(), *range.end()))
            .collect()
    }

    #[test]
    fn ranges_are_ordered_and_merged() {
        assert_eq!(resolved("5:3,1,4:7,9", 20), [(1, 1), (3, 7), (9, 9)]);
        assert_eq!(resolved("1,2,3", 3), [(1, 3)]);
        assert_eq!(resolved("4294967295", 3), [(u32::MAX, u32::MAX)]);
        assert_eq!(resolved("1:4294967295,2:*", 3), [(1, u32::MAX)]);
    }

    #[test]
    fn star_is_the_largest_even_below_the_other_end() {
        assert_eq!(resolved("559:*", 12), [(12, 559)]);
        assert_eq!(resolved("*", 12), [(12, 12)]);
        assert_eq!(resolved("*:1", 0), [(0, 1)]);
        assert_eq!(resolved("*", 0), []);
    }

    #[test]
    fn what_is_not_a_set_is_refused() {
        for text in [
            "",
            "0",
            "0:1",
            "1,",
            ",1",
            "1:",
            "a",
            "1:2:3",
            "01",
            "4294967296",
            "-1",
            "**",
        ] {
            assert!(SequenceSet::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn printed_numbers_keep_their_order() {
        assert_eq!(print(&[1, 2, 3, 7, 5, 6]), "1:3,7,5:6");
        assert_eq!(print(&[]), "");
        assert_eq!(print(&[u32::MAX]), "4294967295");
    }

    #[test]
    fn membership_agrees_with_the_text() {
        property::holds(|u| {
            let wanted: std::collections::BTreeSet<u32> = property::bytes(u)?
                .into_iter()
                .map(|n| u32::from(n) + 1)
                .collect();
            let numbers: Vec<u32> = wanted.iter().copied().collect();
            if numbers.is_empty() {
                return Ok(());
            }
            let set = SequenceSet::parse(print(&numbers).as_bytes())
                .unwrap()
                .resolve(1);
            assert_eq!(set, numbers.iter().copied().collect());
            for n in 0..300 {
                assert_eq!(set.contains(n), wanted.contains(&n));
            }
            Ok(())
        });
    }
}
