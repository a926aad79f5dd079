//! How many sessions there are, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a daemon.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    /// Which address it is counted for, if it is.
    address: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// `max` places, all free.
    pub fn new(max: usize) -> Arc<Self> {
        let max = max.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(max)),
            max,
            by_address: Mutex::default(),
        })
    }

    /// Takes a place; `None` when there is none.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.place(permit))
    }

    /// Takes a place as soon as there is one.
    pub async fn wait(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(self.place(permit))
    }

    /// Waits until all places are free, and keeps them.
    pub async fn all_free(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        if let Ok(permits) = self.free.acquire_many(all).await {
            permits.forget();
        }
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        Place {
            places: Arc::clone(self),
            address: None,
            _permit: permit,
        }
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    pub fn used(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts the place for an address and says how many that has now; `None`
    /// when it has `max` already.
    pub fn count(&mut self, address: IpAddr, max: usize) -> Option<usize> {
        let address = group(address);
        let mut by_address = self.places.by_address();
        let count = by_address.get(&address).copied().unwrap_or(0);
        if max <= count || self.address.is_some() {
            return None;
        }
        by_address.insert(address, count + 1);
        self.address = Some(address);
        Some(count + 1)
    }

    /// The places it is one of.
    pub fn places(&self) -> &Places {
        &self.places
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut by_address = self.places.by_address();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the network, since a client has 2⁶⁴
/// addresses for the asking.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(place: &mut Place, address: &str) -> Option<usize> {
        place.count(address.parse().unwrap(), 2)
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        assert!(first.is_some() && second.is_some() && places.take().is_none());
        assert_eq!((places.used(), places.max()), (2, 2));
        drop(first);
        assert!(places.take().is_some());
    }

    #[test]
    fn an_address_has_so_many_places_and_no_more() {
        let places = Places::new(9);
        let mut seats: Vec<Place> = (0..4).filter_map(|_| places.take()).collect();
        assert_eq!(count(&mut seats[0], "192.0.2.1"), Some(1));
        assert_eq!(count(&mut seats[1], "::ffff:192.0.2.1"), Some(2));
        assert_eq!(count(&mut seats[2], "192.0.2.1"), None);
        assert_eq!(count(&mut seats[3], "192.0.2.2"), Some(1));
        seats.remove(0);
        assert_eq!(count(&mut seats[1], "192.0.2.1"), Some(2));
        drop(seats);
        assert!(places.by_address().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let places = Places::new(9);
        let mut seats: Vec<Place> = (0..4).filter_map(|_| places.take()).collect();
        assert_eq!(count(&mut seats[0], "2001:db8::1"), Some(1));
        assert_eq!(count(&mut seats[1], "2001:db8::ffff:0:2"), Some(2));
        assert_eq!(count(&mut seats[2], "2001:db8::3"), None);
        assert_eq!(count(&mut seats[3], "2001:db8:0:1::1"), Some(1));
    }
}
