//! Rules about connections (smtp-receiving.md §1.7): compiled by tcprules(1),
//! looked up by every listener.

mod compile;
mod lookup;

pub use compile::{LineError, Record, compile};
pub use lookup::{Client, Instruction, Rule, lookup};

/// Key of an IPv4 network: `_` and its bits. No other program writes these.
const IPV4_BITS: char = '_';
/// Key of an IPv6 network: `^` and its bits.
const IPV6_BITS: char = '^';

/// The first `length` bits of an address as `0` and `1`, behind a mark.
fn bits(mark: char, octets: &[u8], length: usize) -> Vec<u8> {
    let bit = |at: usize| match octets[at / 8] >> (7 - at % 8) & 1 {
        0 => b'0',
        _ => b'1',
    };
    std::iter::once(mark as u8)
        .chain((0..length).map(bit))
        .collect()
}
