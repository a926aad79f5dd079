//! Who guesses passwords. Too many wrong ones are not even checked any more
//! for a while: from one address for one user, from one address for anybody,
//! and for one user from anywhere.
//!
//! Nobody can lock somebody else out of where they usually are: who has
//! logged in from an address before is not stopped there by what others do.
//! All is kept in memory, bounded, and gone when this program ends.

mod table;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use wire::lookup::Block;

use crate::world::locked;
use table::Table;

/// Wrong passwords of a pair before checks stop, and for how long they count.
const PAIR_MAX: u32 = 20;
const PAIR_SERIES: Duration = Duration::from_secs(60);
/// How long wrong passwords from an address or for a user count.
const SERIES: Duration = Duration::from_secs(3600);
/// Where users have logged in from.
const KNOWN_MAX: usize = 100_000;

/// How many wrong passwords are too many within an hour; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one user.
    pub account: u32,
    /// From one address, an IPv6 network of 64 bits counting as one.
    pub address: u32,
    /// How long nothing is checked then; twice as long each further time.
    pub pause: Duration,
}

/// What a guesser has used up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// This address and this user.
    Pair,
    /// The address.
    Address(String),
    /// The user.
    Account(String),
}

impl Stopped {
    /// For the log: why, and what undoes it.
    pub fn words(&self) -> String {
        match self {
            Self::Pair => "too many wrong passwords from there for this user".to_owned(),
            Self::Address(name) => format!(
                "too many wrong passwords from {name}; to undo: indimail logins forgive {name}"
            ),
            Self::Account(name) => format!(
                "too many wrong passwords for {name} from anywhere; to undo: \
                 indimail logins forgive {name}"
            ),
        }
    }
}

/// Series of wrong passwords.
#[derive(Default)]
pub struct Failures(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    pairs: Table,
    addresses: Table,
    accounts: Table,
    /// User and address, and when the right password came last.
    known: HashMap<String, Instant>,
}

impl Failures {
    /// Why this try is not checked; `None` when it is.
    pub fn stopped(&self, limits: &Limits, user: &str, ip: &str, now: Instant) -> Option<Stopped> {
        let tables = locked(&self.0);
        let pair = pair(user, ip);
        if tables.pairs.is_stopped(&pair, now) {
            return Some(Stopped::Pair);
        }
        if tables.known.contains_key(&pair) {
            return None;
        }
        let from = network(ip);
        if limits.address != 0 && tables.addresses.is_stopped(&from, now) {
            return Some(Stopped::Address(from));
        }
        (limits.account != 0 && tables.accounts.is_stopped(user, now))
            .then(|| Stopped::Account(user.to_owned()))
    }

    /// Counts a wrong password; what is stopped by it.
    pub fn add(&self, limits: &Limits, user: &str, ip: &str, now: Instant) -> Vec<Stopped> {
        let mut tables = locked(&self.0);
        let mut stopped = Vec::new();
        let (pair, from) = (pair(user, ip), network(ip));
        tables
            .pairs
            .add(&pair, PAIR_MAX, PAIR_SERIES, PAIR_SERIES, now);
        // Programs of this host, webmail say, are many clients.
        if !is_here(ip)
            && tables
                .addresses
                .add(&from, limits.address, SERIES, limits.pause, now)
        {
            stopped.push(Stopped::Address(from));
        }
        if tables
            .accounts
            .add(user, limits.account, SERIES, limits.pause, now)
        {
            stopped.push(Stopped::Account(user.to_owned()));
        }
        stopped
    }

    /// The right password came.
    pub fn succeeded(&self, user: &str, ip: &str, now: Instant) {
        let mut tables = locked(&self.0);
        let pair = pair(user, ip);
        tables.pairs.remove(&pair);
        if KNOWN_MAX <= tables.known.len() && !tables.known.contains_key(&pair) {
            // The older half goes.
            let mut times: Vec<Instant> = tables.known.values().copied().collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            tables.known.retain(|_, at| middle < *at);
        }
        tables.known.insert(pair, now);
    }

    /// Who is stopped now.
    pub fn blocks(&self, now: Instant) -> Vec<Block> {
        let tables = locked(&self.0);
        let block = |(name, count, left): (&str, u32, Duration)| Block {
            name: name.to_owned(),
            failures: count,
            seconds_left: left.as_secs(),
        };
        let all = tables
            .addresses
            .stopped(now)
            .chain(tables.accounts.stopped(now));
        all.map(block).collect()
    }

    /// Forgets what is counted about an address or a user; how much that was.
    pub fn forgive(&self, name: &str) -> usize {
        let mut tables = locked(&self.0);
        let (user, from) = (name.to_lowercase(), network(name));
        let found = usize::from(tables.accounts.remove(&user))
            + usize::from(tables.addresses.remove(&from));
        let of_user = format!("{user} ");
        let of_address = format!(" {name}");
        tables
            .pairs
            .retain(|pair| !pair.starts_with(&of_user) && !pair.ends_with(&of_address));
        found
    }
}

fn pair(user: &str, ip: &str) -> String {
    format!("{user} {ip}")
}

fn is_here(ip: &str) -> bool {
    ip.parse()
        .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// The address, or the network of 64 bits, that one host can choose from.
fn network(ip: &str) -> String {
    let address = ip.trim_end_matches("/64").parse::<IpAddr>();
    match address.map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let network = ip.to_bits() >> 64 << 64;
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Err(_) => ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        account: 50,
        address: 30,
        pause: Duration::from_secs(900),
    };

    #[test]
    fn a_pair_is_stopped_for_a_minute() {
        let (failures, now) = (Failures::default(), Instant::now());
        let stopped = |user, ip, now| failures.stopped(&LIMITS, user, ip, now);
        for _ in 0..PAIR_MAX {
            assert_eq!(stopped("joe@a.org", "192.0.2.1", now), None);
            failures.add(&LIMITS, "joe@a.org", "192.0.2.1", now);
        }
        assert_eq!(stopped("joe@a.org", "192.0.2.1", now), Some(Stopped::Pair));
        assert_eq!(stopped("joe@a.org", "192.0.2.2", now), None);
        assert_eq!(stopped("ann@a.org", "192.0.2.1", now), None);
        let later = now + PAIR_SERIES;
        assert_eq!(stopped("joe@a.org", "192.0.2.1", later), None);
    }

    #[test]
    fn an_address_that_guesses_is_stopped_and_longer_each_time() {
        let (failures, mut now) = (Failures::default(), Instant::now());
        failures.succeeded("ann@a.org", "192.0.2.1", now);
        let stopped = |user: &str, now| failures.stopped(&LIMITS, user, "192.0.2.1", now);
        for pause in [LIMITS.pause, 2 * LIMITS.pause] {
            for n in 0..LIMITS.address {
                let user = format!("u{n}@a.org");
                assert_eq!(stopped(&user, now), None);
                let new = failures.add(&LIMITS, &user, "192.0.2.1", now);
                assert_eq!(new.is_empty(), n + 1 < LIMITS.address);
            }
            let name = "192.0.2.1".to_owned();
            assert_eq!(stopped("new@a.org", now), Some(Stopped::Address(name)));
            // Who is at home there is not stopped by others.
            assert_eq!(stopped("ann@a.org", now), None);
            now += pause - Duration::from_secs(1);
            assert!(stopped("new@a.org", now).is_some());
            now += Duration::from_secs(1);
            assert_eq!(stopped("new@a.org", now), None);
        }
    }

    #[test]
    fn a_user_is_guarded_against_many_addresses() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..LIMITS.account {
            let ip = format!("2001:db8:{n:x}::1");
            assert_eq!(failures.stopped(&LIMITS, "joe@a.org", &ip, now), None);
            failures.add(&LIMITS, "joe@a.org", &ip, now);
        }
        let stopped = failures.stopped(&LIMITS, "joe@a.org", "192.0.2.9", now);
        assert_eq!(stopped, Some(Stopped::Account("joe@a.org".to_owned())));
        let [block] = &failures.blocks(now)[..] else {
            panic!("one is stopped");
        };
        assert_eq!((block.name.as_str(), block.failures), ("joe@a.org", 50));
        assert_eq!(failures.forgive("Joe@A.org"), 1);
        assert_eq!(
            failures.stopped(&LIMITS, "joe@a.org", "192.0.2.9", now),
            None
        );
        assert_eq!(failures.forgive("joe@a.org"), 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser_and_this_host_none() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..LIMITS.address {
            let user = format!("u{n}@a.org");
            failures.add(&LIMITS, &user, &format!("2001:db8::{n:x}"), now);
            failures.add(&LIMITS, &user, "::1", now);
        }
        let stopped = |ip| failures.stopped(&LIMITS, "new@a.org", ip, now);
        let network = "2001:db8::/64".to_owned();
        assert_eq!(stopped("2001:db8::ffff"), Some(Stopped::Address(network)));
        assert_eq!(stopped("::1"), None);
        assert_eq!(failures.forgive("2001:db8::/64"), 1);
        assert_eq!(stopped("2001:db8::ffff"), None);
    }

    #[test]
    fn without_limits_only_pairs_are_stopped() {
        let (failures, now) = (Failures::default(), Instant::now());
        let limits = Limits {
            account: 0,
            address: 0,
            ..LIMITS
        };
        for n in 0..1000 {
            let user = format!("u{n}@a.org");
            assert!(failures.add(&limits, &user, "192.0.2.1", now).is_empty());
        }
        assert_eq!(failures.stopped(&limits, "x@a.org", "192.0.2.1", now), None);
    }
}
