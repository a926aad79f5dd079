//! Which hosts take mail for a domain (RFC 5321 §5.1).

use std::net::IpAddr;

use address::Domain;
use tokio::task::JoinSet;

use crate::{Error, Resolver};

/// Most exchangers of one domain that are looked at, the preferred ones.
const EXCHANGERS_MAX: usize = 20;
/// Most MX records of one answer that are read.
const RECORDS_MAX: usize = 200;

/// One exchanger with its addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mx {
    /// Lower is better.
    pub preference: u16,
    /// Its name.
    pub host: Domain,
    /// Its addresses, at least one.
    pub addresses: Vec<IpAddr>,
}

impl Resolver {
    /// The exchangers of a domain, lowest preference first; the domain itself
    /// when it has none. Exchangers that cannot be resolved are left out as
    /// long as others can.
    pub async fn mx(&self, domain: &Domain) -> Result<Vec<Mx>, Error> {
        let mut records = match self.mx_records(domain, RECORDS_MAX).await {
            Ok(records) => records,
            Err(Error::NoRecords) => return self.implicit_mx(domain).await,
            Err(error) => return Err(error),
        };
        let only_null = records.iter().all(|(_, host)| host.is_none());
        if only_null {
            return Err(Error::NullMx);
        }
        records.sort_by_key(|(preference, _)| *preference);
        let exchangers = records
            .into_iter()
            .filter_map(|(preference, host)| Some((preference, host?)));
        let mut lookups = JoinSet::new();
        for (preference, host) in exchangers.take(EXCHANGERS_MAX) {
            let resolver = self.clone();
            lookups.spawn(async move {
                let addresses = resolver.addresses(&host).await;
                (preference, host, addresses)
            });
        }
        let mut found = Vec::new();
        let mut why = Error::NoRecords;
        for (preference, host, addresses) in lookups.join_all().await {
            match addresses {
                Ok(addresses) => found.push(Mx {
                    preference,
                    host,
                    addresses,
                }),
                Err(error) if error.is_temporary() => why = error,
                Err(_) => {}
            }
        }
        if found.is_empty() {
            return Err(why);
        }
        found.sort_by_key(|mx| mx.preference);
        Ok(found)
    }

    /// Says whether a domain has exchangers, or else addresses of its own
    /// (RFC 5321 §5.1). One that refuses mail by a null exchanger has none.
    pub async fn takes_mail(&self, domain: &Domain) -> Result<(), Error> {
        match self.mx_records(domain, RECORDS_MAX).await {
            Ok(records) if records.iter().all(|(_, host)| host.is_none()) => Err(Error::NullMx),
            Ok(_) => Ok(()),
            Err(Error::NoRecords) => self.addresses(domain).await.map(drop),
            Err(error) => Err(error),
        }
    }

    async fn implicit_mx(&self, domain: &Domain) -> Result<Vec<Mx>, Error> {
        Ok(vec![Mx {
            preference: 0,
            host: domain.clone(),
            addresses: self.addresses(domain).await?,
        }])
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::server::{Answer, Server};

    async fn mx(server: &Server, domain: &str) -> Result<Vec<Mx>, Error> {
        let resolver = Resolver::with_servers(&[server.address()]).unwrap();
        resolver.mx(&Domain::parse(domain).unwrap()).await
    }

    #[tokio::test]
    async fn exchangers_come_by_preference_with_all_their_addresses() {
        let server = Server::start(|name, kind| match (name, kind) {
            ("b.example.", "MX") => Answer::Mx(vec![
                (20, "second.example."),
                (10, "first.example."),
                (5, "gone.example."),
            ]),
            ("first.example.", "A") => Answer::A(vec![Ipv4Addr::new(192, 0, 2, 1)]),
            ("first.example.", "AAAA") => Answer::Aaaa(vec![Ipv6Addr::LOCALHOST]),
            ("second.example.", "A") => Answer::A(vec![Ipv4Addr::new(192, 0, 2, 2)]),
            ("second.example.", _) => Answer::Empty,
            _ => Answer::NoSuchName,
        })
        .await;
        let found = mx(&server, "b.example").await.unwrap();
        let names: Vec<&str> = found.iter().map(|mx| mx.host.as_str()).collect();
        assert_eq!(names, ["first.example", "second.example"]);
        assert_eq!(found[0].addresses.len(), 2);
    }

    #[tokio::test]
    async fn a_domain_without_mx_is_its_own_exchanger() {
        let server = Server::start(|_, kind| match kind {
            "A" => Answer::A(vec![Ipv4Addr::new(192, 0, 2, 9)]),
            _ => Answer::Empty,
        })
        .await;
        let found = mx(&server, "plain.example").await.unwrap();
        assert_eq!(
            (found[0].preference, found[0].host.as_str()),
            (0, "plain.example")
        );
    }

    #[tokio::test]
    async fn absence_and_trouble_are_told_apart() {
        let server = Server::start(|name, kind| match (name, kind) {
            ("null.example.", "MX") => Answer::Mx(vec![(0, ".")]),
            ("sick.example.", _) => Answer::Failure,
            ("dead.example.", "MX") => Answer::Mx(vec![(1, "sick.example.")]),
            ("nowhere.example.", "MX") => Answer::Mx(vec![(1, "gone.example.")]),
            ("empty.example.", _) => Answer::Empty,
            _ => Answer::NoSuchName,
        })
        .await;
        assert!(matches!(
            mx(&server, "null.example").await,
            Err(Error::NullMx)
        ));
        assert!(matches!(
            mx(&server, "gone.example").await,
            Err(Error::NoSuchName)
        ));
        assert!(matches!(
            mx(&server, "empty.example").await,
            Err(Error::NoRecords)
        ));
        assert!(matches!(
            mx(&server, "nowhere.example").await,
            Err(Error::NoRecords)
        ));
        assert!(
            mx(&server, "sick.example")
                .await
                .unwrap_err()
                .is_temporary()
        );
        assert!(
            mx(&server, "dead.example")
                .await
                .unwrap_err()
                .is_temporary()
        );
    }

    // Attack 25.
    #[tokio::test]
    async fn a_hostile_answer_gives_no_address() {
        let server = Server::start(|name, kind| match (name, kind) {
            ("loop.example.", _) => Answer::Cname("pool.example."),
            ("pool.example.", _) => Answer::Cname("loop.example."),
            ("poison.example.", "A") => {
                Answer::Foreign("bank.example.", Ipv4Addr::new(192, 0, 2, 66))
            }
            ("poison.example.", _) => Answer::Empty,
            _ => Answer::NoSuchName,
        })
        .await;
        assert!(mx(&server, "loop.example").await.is_err());
        assert!(mx(&server, "poison.example").await.is_err());
    }

    // Attack 25.
    #[tokio::test]
    async fn a_resolver_that_is_down_is_no_answer() {
        let resolver = Resolver::with_servers(&["127.0.0.1:1".parse().unwrap()]).unwrap();
        let error = resolver.mx(&Domain::parse("b.example").unwrap()).await;
        assert!(error.unwrap_err().is_temporary());
    }
}
