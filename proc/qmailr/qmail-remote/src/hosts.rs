//! Which addresses to try, in which order (queue-and-delivery.md §7.4).

use std::net::IpAddr;

use crate::failure::Failure;
use crate::job::{Host, Job};
use crate::own::Own;
use crate::setup::Setup;

/// Most addresses that are tried for one message.
const CANDIDATES_MAX: usize = 100;

/// One address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The address.
    pub ip: IpAddr,
    /// Name of the host that has it, for TLS.
    pub name: String,
    /// Lower is better.
    preference: u16,
}

/// Finds the addresses for a job: the relay of its route as it is, else the
/// exchangers that are better than we are.
pub async fn find(job: &Job, setup: &Setup) -> Result<Vec<Candidate>, Failure> {
    let candidates = match &setup.route.relay {
        Some(relay) => of_relay(relay, setup).await?,
        None => better_than_us(of_domain(job, setup).await?, &setup.own)?,
    };
    if candidates.is_empty() {
        return Err(Failure::NoAddress);
    }
    let mut candidates = shuffled(candidates, os::clock::random);
    candidates.truncate(CANDIDATES_MAX);
    Ok(candidates)
}

async fn of_relay(relay: &Host, setup: &Setup) -> Result<Vec<Candidate>, Failure> {
    let addresses = match relay {
        Host::Literal(ip) => vec![*ip],
        Host::Name(name) => {
            let addresses = setup.resolver()?.addresses(name).await;
            addresses.map_err(|error| explain(error, name.as_str()))?
        }
    };
    let candidate = |ip| Candidate {
        ip,
        name: relay.to_string(),
        preference: 0,
    };
    Ok(addresses.into_iter().map(candidate).collect())
}

async fn of_domain(job: &Job, setup: &Setup) -> Result<Vec<Candidate>, Failure> {
    let name = match &job.host {
        Host::Literal(_) => return of_relay(&job.host, setup).await,
        Host::Name(name) => name,
    };
    let exchangers = setup.resolver()?.mx(name).await;
    let exchangers = exchangers.map_err(|error| explain(error, &job.host_text))?;
    Ok(exchangers
        .into_iter()
        .flat_map(|mx| {
            mx.addresses.into_iter().map(move |ip| Candidate {
                ip,
                name: mx.host.to_string(),
                preference: mx.preference,
            })
        })
        .collect())
}

/// Mail must not come back to us or go away from the goal: only exchangers
/// with a better preference than our own are left.
fn better_than_us(candidates: Vec<Candidate>, own: &Own) -> Result<Vec<Candidate>, Failure> {
    let ours = candidates.iter().filter(|c| own.contains(c.ip));
    let Some(limit) = ours.map(|c| c.preference).min() else {
        return Ok(candidates);
    };
    let better: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| candidate.preference < limit)
        .collect();
    if better.is_empty() {
        Err(Failure::Loop)
    } else {
        Ok(better)
    }
}

/// By preference; hosts of the same preference in random order (RFC 5321
/// §5.1), the addresses of a host together.
fn shuffled(mut candidates: Vec<Candidate>, mut random: impl FnMut() -> u64) -> Vec<Candidate> {
    let mut order: Vec<(String, u64)> = Vec::new();
    let mut place = |name: &str| match order.iter().find(|(known, _)| known == name) {
        Some((_, place)) => *place,
        None => {
            let new = random();
            order.push((name.to_owned(), new));
            new
        }
    };
    candidates.sort_by_cached_key(|candidate| (candidate.preference, place(&candidate.name)));
    candidates
}

fn explain(error: dns::Error, host: &str) -> Failure {
    match error {
        dns::Error::NoSuchName | dns::Error::BadName => Failure::NoSuchHost(host.to_owned()),
        dns::Error::NoRecords => Failure::NoAddress,
        dns::Error::NullMx => Failure::NullMx(host.to_owned()),
        dns::Error::Setup(_) | dns::Error::Temporary(_) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(preference: u16, name: &str, ip: &str) -> Candidate {
        Candidate {
            ip: ip.parse().unwrap(),
            name: name.to_owned(),
            preference,
        }
    }

    // Attack 24: mail to self.
    #[test]
    fn mail_never_comes_back_to_us() {
        let own = Own::default();
        let ours = candidate(20, "me", "127.0.0.2");
        let better = candidate(10, "a", "192.0.2.1");
        let worse = candidate(20, "b", "192.0.2.2");
        let all = vec![better.clone(), ours.clone(), worse.clone()];
        assert_eq!(better_than_us(all, &own).unwrap(), [better]);
        let all = vec![ours, worse.clone()];
        assert!(matches!(better_than_us(all, &own), Err(Failure::Loop)));
        assert_eq!(better_than_us(vec![worse.clone()], &own).unwrap(), [worse]);
        for trick in ["0.0.0.0", "::", "::ffff:127.0.0.1", "::1"] {
            let all = vec![candidate(1, "trick", trick)];
            assert!(
                matches!(better_than_us(all, &own), Err(Failure::Loop)),
                "{trick}"
            );
        }
    }

    #[test]
    fn equal_hosts_share_the_load() {
        let all = vec![
            candidate(20, "z", "192.0.2.9"),
            candidate(10, "a", "192.0.2.1"),
            candidate(10, "b", "192.0.2.2"),
            candidate(10, "a", "2001:db8::1"),
        ];
        let names = |seeds: [u64; 3]| {
            let mut seeds = seeds.into_iter();
            let order = shuffled(all.clone(), || seeds.next().unwrap());
            order.into_iter().map(|c| c.name).collect::<Vec<_>>()
        };
        // Seeds are drawn in the order z, a, b.
        assert_eq!(names([9, 1, 2]), ["a", "a", "b", "z"]);
        assert_eq!(names([9, 2, 1]), ["b", "a", "a", "z"]);
    }

    #[test]
    fn acceptance_41_each_of_equal_hosts_is_first_about_as_often() {
        let all = ["a", "b", "c"].map(|name| candidate(10, name, "192.0.2.1"));
        let mut first = std::collections::BTreeMap::new();
        for _ in 0..600 {
            let order = shuffled(all.to_vec(), os::clock::random);
            *first.entry(order[0].name.clone()).or_insert(0) += 1;
        }
        // 200 each, give or take; 100 off would be eight standard deviations.
        assert!(
            first.len() == 3 && first.values().all(|count| (100..300).contains(count)),
            "{first:?}"
        );
    }
}
