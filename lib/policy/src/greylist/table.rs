//! What a greylisting server remembers and decides.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Request;

/// What an entry is for: a network, a sender, a recipient, in lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// IPv4 addresses without their last byte, IPv6 without their last half:
    /// big sites try again from another machine.
    pub network: IpAddr,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// One recipient.
    pub recipient: Vec<u8>,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Seen once.
    New,
    /// Came again too early.
    Early,
    /// Came again too late.
    Stale,
    /// Passed, and was seen since.
    Known,
    /// Passed.
    Passed,
    /// A notification that passed once.
    Bounce,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long known entries live.
    pub lifetime: u64,
    /// When a client may come again at the earliest.
    pub delay_min: u64,
    /// And at the latest.
    pub window: u64,
    /// Most entries; new clients are told to come again while there are as
    /// many.
    pub entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lifetime: 7 * 86_400,
            delay_min: 5 * 60,
            window: 12 * 3600,
            entries_max: 2_000_000,
        }
    }
}

/// The two bytes of a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Never seen.
    Created,
    /// Too early.
    TooEarly,
    /// Too late; it starts over.
    TooLate,
    /// The client is on the whitelist.
    Whitelisted,
    /// Known.
    Known,
    /// Passed just now.
    Passed,
    /// A notification, this once.
    BounceOnce,
    /// The request was no request.
    Internal,
}

impl Outcome {
    /// What is sent (smtp-receiving.md §2.13).
    pub fn bytes(self) -> [u8; 2] {
        match self {
            Self::Created => [0, 1],
            Self::TooEarly => [0, 2],
            Self::TooLate => [0, 3],
            Self::Internal => [0, 4],
            Self::Whitelisted => [1, 1],
            Self::Known => [1, 2],
            Self::Passed => [1, 3],
            Self::BounceOnce => [1, 4],
        }
    }
}

/// All entries: when each was last moved, and where it stands.
#[derive(Debug, Default)]
pub struct Table {
    limits: Limits,
    entries: HashMap<Key, (u64, State)>,
    /// Networks that proved to be mail servers, and until when.
    trusted: HashMap<IpAddr, u64>,
}

impl Table {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Puts an entry back that was saved.
    pub fn restore(&mut self, key: Key, time: u64, state: State) {
        if matches!(state, State::Known | State::Passed) {
            let until = time.saturating_add(self.limits.lifetime);
            let known = self.trusted.entry(key.network).or_default();
            *known = until.max(*known);
        }
        self.entries.insert(key, (time, state));
    }

    /// Every entry, to be saved.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, u64, State)> {
        self.entries
            .iter()
            .map(|(key, (time, state))| (key, *time, *state))
    }

    /// Forgets entries that are older than their lifetime; how many.
    pub fn purge(&mut self, now: u64) -> usize {
        let before = self.entries.len();
        let lifetime = self.limits.lifetime;
        self.entries
            .retain(|_, (time, _)| now <= time.saturating_add(lifetime));
        self.trusted.retain(|_, until| now <= *until);
        before - self.entries.len()
    }

    /// Decides on a request. Each recipient is an entry of its own; the
    /// message comes when all may come.
    pub fn decide(&mut self, request: &Request, now: u64) -> Outcome {
        let network = network(request.ip);
        let is_bounce = request.sender.is_empty();
        if !is_bounce && self.trusted.get(&network).is_some_and(|until| now < *until) {
            self.trusted.insert(network, now + self.limits.lifetime);
            self.touch(request, network, now);
            return Outcome::Known;
        }
        let outcomes = request.recipients.iter().map(|recipient| Key {
            network,
            sender: request.sender.to_ascii_lowercase(),
            recipient: recipient.to_ascii_lowercase(),
        });
        let keys: Vec<Key> = outcomes.collect();
        let outcomes = keys.into_iter().map(|key| self.one(key, is_bounce, now));
        let worst = outcomes.min_by_key(|outcome| outcome.bytes());
        let outcome = worst.unwrap_or(Outcome::Passed);
        if outcome == Outcome::Passed {
            self.trusted.insert(network, now + self.limits.lifetime);
        }
        outcome
    }

    /// An entry of a trusted network is known from now on.
    fn touch(&mut self, request: &Request, network: IpAddr, now: u64) {
        for recipient in &request.recipients {
            let key = Key {
                network,
                sender: request.sender.to_ascii_lowercase(),
                recipient: recipient.to_ascii_lowercase(),
            };
            if let Some(entry) = self.entries.get_mut(&key) {
                *entry = (now, State::Known);
            }
        }
    }

    fn one(&mut self, key: Key, is_bounce: bool, now: u64) -> Outcome {
        let limits = self.limits;
        let is_full = limits.entries_max <= self.entries.len();
        let Some((time, state)) = self.entries.get_mut(&key) else {
            if !is_full {
                self.entries.insert(key, (now, State::New));
            }
            return Outcome::Created;
        };
        let is_known = matches!(state, State::Known | State::Passed);
        if is_known && now < time.saturating_add(limits.lifetime) {
            (*time, *state) = (now, State::Known);
            return Outcome::Known;
        }
        if now < time.saturating_add(limits.delay_min) {
            *state = State::Early;
            return Outcome::TooEarly;
        }
        if time.saturating_add(limits.window) < now {
            (*time, *state) = (now, State::Stale);
            return Outcome::TooLate;
        }
        *time = now;
        match is_bounce {
            true => {
                *state = State::Bounce;
                Outcome::BounceOnce
            }
            false => {
                *state = State::Passed;
                Outcome::Passed
            }
        }
    }
}

/// The network an address stands for.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ip: &str, sender: &str, recipients: &[&str]) -> Request {
        Request {
            ip: ip.parse().unwrap(),
            sender: sender.into(),
            recipients: recipients.iter().map(|r| r.as_bytes().to_vec()).collect(),
        }
    }

    #[test]
    fn acceptance_31_a_client_must_come_again_in_its_window() {
        let mut table = Table::new(Limits::default());
        let ask = request("192.0.2.1", "a@b.test", &["c@local.test"]);
        let replies = [0, 60, 301, 302].map(|now| table.decide(&ask, 1000 + now).bytes());
        assert_eq!(replies, [[0, 1], [0, 2], [1, 3], [1, 2]]);
        let bounce = request("198.51.100.1", "", &["c@local.test"]);
        let replies = [0, 301, 302].map(|now| table.decide(&bounce, 1000 + now).bytes());
        assert_eq!(replies, [[0, 1], [1, 4], [0, 2]]);
    }

    #[test]
    fn who_comes_too_late_starts_over() {
        let mut table = Table::new(Limits::default());
        let ask = request("192.0.2.1", "a@b.test", &["c@local.test"]);
        table.decide(&ask, 0);
        assert_eq!(table.decide(&ask, 12 * 3600 + 1), Outcome::TooLate);
        assert_eq!(table.decide(&ask, 12 * 3600 + 400), Outcome::Passed);
    }

    #[test]
    fn another_order_or_batch_or_neighbour_is_the_same_sender() {
        let mut table = Table::new(Limits::default());
        let both = request("192.0.2.1", "A@b.test", &["c@local.test", "d@local.test"]);
        table.decide(&both, 0);
        let turned = request("192.0.2.77", "a@B.test", &["d@local.test", "c@local.test"]);
        assert_eq!(table.decide(&turned, 400), Outcome::Passed);
        let other = request("192.0.2.9", "x@y.test", &["e@local.test"]);
        assert_eq!(table.decide(&other, 500), Outcome::Known);
        assert_eq!(
            table.decide(&request("192.0.3.9", "x@y.test", &["e@local.test"]), 500),
            Outcome::Created
        );
    }

    #[test]
    fn old_entries_are_forgotten_and_there_is_a_bound() {
        let limits = Limits {
            entries_max: 1,
            ..Limits::default()
        };
        let mut table = Table::new(limits);
        table.decide(&request("192.0.2.1", "a@b.test", &["c@d.test"]), 0);
        table.decide(&request("192.0.9.1", "a@b.test", &["c@d.test"]), 0);
        assert_eq!(table.entries().count(), 1);
        assert_eq!((table.purge(100), table.purge(8 * 86_400)), (0, 1));
    }
}
