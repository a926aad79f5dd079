//! Who takes the messages, and how well.

use schedule::{Channel, Verdict};

use crate::random::Random;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What a host or a mailbox does with a message.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Takes it at once.
    Well,
    /// Takes it after minutes.
    Slow,
    /// Does not answer until then, and lets the client wait for that.
    Down(i64),
    /// Never answers.
    Dead,
    /// Takes nothing from a sender it met less than ten minutes ago.
    Greylists,
    /// Refuses for good.
    Refuses,
    /// Mailbox full until then.
    Full(i64),
    /// Now this, now that.
    Moody,
    /// Its reports make no sense, one time in three.
    Garbles,
}

/// One host or mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub channel: Channel,
    pub manner: Manner,
}

/// The peers of one run.
pub fn peers(random: &mut Random) -> Vec<Peer> {
    let mut peers = Vec::new();
    for n in 0..200 {
        let channel = Channel::ALL[n % 2];
        let until = random.between(HOUR, 9 * DAY);
        let manner = match random.between(0, 99) {
            // The postmaster, who gets double bounces.
            _ if n == 0 => Manner::Moody,
            0..50 => Manner::Well,
            50..58 => Manner::Slow,
            58..68 => Manner::Down(until),
            68..72 => Manner::Dead,
            72..82 if channel == Channel::Remote => Manner::Greylists,
            72..82 => Manner::Full(until),
            82..90 => Manner::Refuses,
            90..97 => Manner::Moody,
            _ => Manner::Garbles,
        };
        peers.push(Peer { channel, manner });
    }
    peers
}

impl Peer {
    /// How a delivery that starts now ends, and after how many seconds. The
    /// first try for this recipient was at `first`.
    pub fn answer(self, random: &mut Random, now: i64, first: i64) -> (Verdict, i64) {
        let quick = random.between(0, 2);
        let waited = random.between(60, 120);
        match self.manner {
            Manner::Well => (Verdict::Success, quick),
            Manner::Slow => (Verdict::Success, random.between(60, 600)),
            Manner::Down(until) if now < until => (Verdict::Deferral, waited),
            Manner::Full(until) if now < until => (Verdict::Deferral, quick),
            Manner::Down(_) | Manner::Full(_) => (Verdict::Success, quick),
            Manner::Dead => (Verdict::Deferral, waited),
            Manner::Greylists if now < first + 600 => (Verdict::Deferral, quick),
            Manner::Greylists => (Verdict::Success, quick),
            Manner::Refuses => (Verdict::Failure, quick),
            Manner::Garbles if random.chance(333) => (Verdict::Mangled, quick),
            Manner::Garbles => (Verdict::Deferral, quick),
            Manner::Moody => match random.between(0, 9) {
                0..6 => (Verdict::Deferral, waited),
                6..9 => (Verdict::Success, quick),
                _ => (Verdict::Failure, quick),
            },
        }
    }
}
