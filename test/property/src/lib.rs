//! Properties that hold for any input.
//!
//! The test command tries each on the same inputs every time: whether it
//! passes depends on the code alone, never on luck. Searching for inputs that
//! nobody thought of is work of its own, as long as one likes:
//! `ARBTEST_BUDGET_MS=60000 cargo test -p PACKAGE NAME`. An input that is found
//! has a seed, and `ARBTEST_SEED=SEED` tries it again.

use std::time::{Duration, Instant};

pub use arbtest::arbitrary;

/// Inputs each property is tried on, from short to long.
const INPUTS: u32 = 150;

/// No more inputs are begun after this, however many there were.
const TIME: Duration = Duration::from_secs(3);

/// Bytes of the shortest input and of the longest.
const BYTES: (u32, u32) = (32, 65_536);

/// Inputs of one length.
const INPUTS_PER_LENGTH: u32 = 4;

/// Tries a property; it panics where it does not hold.
///
/// A property that says the input was too short for it has not been tried;
/// one that says so of every input fails.
pub fn holds<P>(mut property: P)
where
    P: FnMut(&mut arbitrary::Unstructured<'_>) -> arbitrary::Result<()>,
{
    let by_hand = ["ARBTEST_SEED", "ARBTEST_BUDGET_MS"];
    if by_hand.iter().any(|name| std::env::var_os(name).is_some()) {
        return arbtest::arbtest(property).run();
    }
    let begun = Instant::now();
    let mut tried = 0;
    for seed in seeds().take_while(|_| begun.elapsed() < TIME) {
        let attempt = |u: &mut arbitrary::Unstructured<'_>| {
            tried += u32::from(property(u).is_ok());
            Ok(())
        };
        arbtest::arbtest(attempt).seed(seed).run();
    }
    assert!(0 < tried, "every input was too short");
}

/// Any bytes: none, a few, or some thousands.
///
/// An arbitrary `Vec` has one element on average, which finds little.
pub fn bytes(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let most = *u.choose(&[4, 16, 80, 600, 8000])?;
    let length = u.int_in_range(0..=most)?.min(u.len());
    Ok(u.bytes(length)?.to_vec())
}

/// None, one, or some dozens of what `one` makes.
pub fn several<'a, T>(
    u: &mut arbitrary::Unstructured<'a>,
    mut one: impl FnMut(&mut arbitrary::Unstructured<'a>) -> arbitrary::Result<T>,
) -> arbitrary::Result<Vec<T>> {
    let most = *u.choose(&[1, 4, 40])?;
    (0..u.int_in_range(0..=most)?).map(|_| one(u)).collect()
}

/// Seeds as arbtest has them: the length below, the random part above.
fn seeds() -> impl Iterator<Item = u64> {
    let (shortest, longest) = BYTES;
    (0..INPUTS).scan(shortest, move |bytes, at| {
        if 0 < at && at % INPUTS_PER_LENGTH == 0 {
            *bytes = (*bytes * 5 / 4).min(longest);
        }
        // Odd, so that no two are the same, and not zero.
        let random = (at + 1).wrapping_mul(0x9E37_79B1);
        Some(u64::from(random) << 32 | u64::from(*bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_inputs_are_different_and_grow_to_the_longest() {
        let seeds: Vec<u64> = seeds().collect();
        let random: HashSet<u64> = seeds.iter().map(|seed| seed >> 32).collect();
        assert_eq!(random.len(), seeds.len());
        let lengths: Vec<u64> = seeds.iter().map(|seed| seed & 0xFFFF_FFFF).collect();
        assert!(lengths.is_sorted());
        assert_eq!(lengths.first(), Some(&32));
        assert_eq!(lengths.last(), Some(&65_536));
    }

    #[test]
    fn the_same_inputs_come_every_time() {
        let inputs = || {
            let mut seen = Vec::new();
            holds(|u| {
                seen.push(u.bytes(u.len())?.to_vec());
                Ok(())
            });
            seen
        };
        assert_eq!(inputs(), inputs());
    }

    #[test]
    #[should_panic(expected = "found")]
    fn an_input_that_breaks_it_is_found() {
        holds(|u| {
            assert!(!bytes(u)?.contains(&b'x'), "found");
            Ok(())
        });
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_property_that_was_never_tried_fails() {
        holds(|_| Err(arbitrary::Error::NotEnoughData));
    }
}
