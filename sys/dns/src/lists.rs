//! Lists of addresses in the DNS (RFC 5782).

use std::net::IpAddr;

use crate::{Domain, Error, Resolver};

/// What says that an address is on a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listing {
    /// TXT records; the first one says why.
    Text,
    /// Addresses.
    Address,
}

impl Resolver {
    /// What a list says about this name below it; `None` when it is not on it.
    pub async fn listed(&self, name: &Domain, by: Listing) -> Result<Option<String>, Error> {
        let answer = match by {
            Listing::Address => self.ipv4(name).await.map(|_| Some(String::new())),
            Listing::Text => self.txt(name).await.map(|texts| {
                let first = texts.into_iter().next().unwrap_or_default();
                Some(String::from_utf8_lossy(&first).into_owned())
            }),
        };
        match answer {
            Err(error) if !error.is_temporary() => Ok(None),
            answer => answer,
        }
    }
}

/// `4.3.2.1`, or the nibbles of an IPv6 address, last first: what stands
/// before the name of a list.
pub fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev();
            let nibbles = nibbles.flat_map(|byte| [byte & 15, byte >> 4]);
            let nibbles: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            nibbles.join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(reversed("1.2.3.4".parse().unwrap()), "4.3.2.1");
        let six = reversed("2001:db8::1".parse().unwrap());
        assert!(
            six.starts_with("1.0.0.") && six.ends_with("8.b.d.0.1.0.0.2"),
            "{six}"
        );
        assert_eq!(six.len(), 63);
    }
}
