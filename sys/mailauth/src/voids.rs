//! Counts the questions of one SPF evaluation that lead nowhere
//! (RFC 7208 §4.6.4).
//!
//! mail-auth does not count them, but it looks into a cache before each
//! question and puts what it found there: what is looked for and not put there
//! led nowhere. `exists` looks into both caches of addresses and puts nothing
//! anywhere; it is not counted. Neither are the addresses of exchangers.

use std::borrow::Borrow;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mail_auth::{MX, RecordSet, ResolverCache};

/// Most of them; further ones are an error of the record.
const VOIDS_MAX: i64 = 2;

/// Stands where mail-auth has its caches.
#[derive(Debug)]
pub(crate) struct Voids {
    client: IpAddr,
    count: AtomicI64,
    /// Names whose addresses are asked for because they are exchangers.
    exchangers: Mutex<Vec<Box<str>>>,
}

impl Voids {
    pub(crate) fn of(client: IpAddr) -> Self {
        Self {
            client,
            count: AtomicI64::new(0),
            exchangers: Mutex::default(),
        }
    }

    /// Says whether there were too many.
    pub(crate) fn are_too_many(&self) -> bool {
        VOIDS_MAX < self.count.load(Ordering::Relaxed)
    }

    fn add(&self, number: i64) {
        self.count.fetch_add(number, Ordering::Relaxed);
    }

    fn is_exchanger<Q>(&self, name: &Q) -> bool
    where
        Box<str>: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let exchangers = self.exchangers.lock();
        let exchangers = exchangers.unwrap_or_else(PoisonError::into_inner);
        exchangers
            .iter()
            .any(|known| Borrow::<Q>::borrow(known) == name)
    }

    /// Addresses of a name are looked for: of the client's family by all, of
    /// the other one by `exists` alone.
    fn looked<Q>(&self, name: &Q, is_clients_family: bool)
    where
        Box<str>: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if !is_clients_family {
            self.add(-1);
        } else if !self.is_exchanger(name) {
            self.add(1);
        }
    }

    fn found(&self, name: &str) {
        if !self.is_exchanger(name) {
            self.add(-1);
        }
    }
}

/// A cache that never has anything.
macro_rules! cache {
    ($key:ty, $value:ty, $self:ident, $name:ident, $looked:expr, $found_key:ident, $found:ident, $inserted:expr) => {
        impl ResolverCache<$key, RecordSet<$value>> for Voids {
            fn get<Q>(&$self, $name: &Q) -> Option<RecordSet<$value>>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                $looked;
                None
            }

            fn remove<Q>(&self, _: &Q) -> Option<RecordSet<$value>>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&$self, $found_key: $key, $found: RecordSet<$value>, _: Instant) {
                $inserted;
            }
        }
    };
}

cache!(
    Box<str>,
    Ipv4Addr,
    self,
    name,
    self.looked(name, self.client.is_ipv4()),
    key,
    _found,
    self.found(&key)
);
cache!(
    Box<str>,
    Ipv6Addr,
    self,
    name,
    self.looked(name, self.client.is_ipv6()),
    key,
    _found,
    self.found(&key)
);
cache!(Box<str>, MX, self, _name, self.add(1), _key, found, {
    self.add(-1);
    let names = found.rrset.iter().flat_map(|mx| mx.exchanges.iter());
    let names = names.map(|name| format!("{}.", name.trim_end_matches('.')).into());
    let exchangers = self.exchangers.lock();
    let mut exchangers = exchangers.unwrap_or_else(PoisonError::into_inner);
    exchangers.extend(names);
});
cache!(
    IpAddr,
    Box<str>,
    self,
    _name,
    self.add(1),
    _key,
    _found,
    self.add(-1)
);
