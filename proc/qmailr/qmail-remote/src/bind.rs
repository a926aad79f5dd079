//! From which of our addresses a connection goes out
//! (queue-and-delivery.md §7.5).

use std::net::IpAddr;
use std::path::PathBuf;

use address::Address;
use run::Settings;
use settings::remote::{BINDROUTES, DOMAINBINDINGS, OUTGOINGIP};
use text::control;

use crate::failure::Failure;

/// The rules for one message.
#[derive(Debug, Default)]
pub struct Bindings {
    by_remote: Vec<u8>,
    by_sender: Option<IpAddr>,
    otherwise: Option<IpAddr>,
    /// The sender's domain, when a rule matched it: it becomes our name.
    pub helo: Option<Vec<u8>>,
}

impl Bindings {
    /// Reads the rules that matter for this sender.
    pub fn read(settings: &Settings, sender: &Address) -> Result<Self, Failure> {
        let table = |setting| -> Result<Vec<u8>, Failure> {
            Ok(settings.list(setting)?.unwrap_or_default().join(&b'\n'))
        };
        let by_sender = table(&DOMAINBINDINGS)?;
        let matched = sender_keys(sender)
            .iter()
            .find_map(|key| control::lookup(&by_sender, key));
        let otherwise = settings.line(&OUTGOINGIP)?;
        Ok(Self {
            by_remote: table(&BINDROUTES)?,
            by_sender: matched
                .map(|ip| parse(ip, DOMAINBINDINGS.file))
                .transpose()?
                .flatten(),
            otherwise: otherwise
                .map(|ip| parse(&ip, OUTGOINGIP.file))
                .transpose()?
                .flatten(),
            helo: matched.and(sender.domain()).map(<[u8]>::to_vec),
        })
    }

    /// The local address for a connection to `remote`; `None` leaves it to
    /// the system.
    pub fn local(&self, remote: IpAddr) -> Result<Option<IpAddr>, Failure> {
        let whole = remote.to_string();
        // Keys are cut at each dot, from the longest to the empty one.
        let prefixes = whole.rmatch_indices('.').map(|(at, _)| &whole[..=at]);
        let matched = std::iter::once(whole.as_str())
            .chain(prefixes)
            .chain([""])
            .find_map(|key| control::lookup(&self.by_remote, key.as_bytes()));
        let local = match matched {
            Some(ip) => parse(ip, BINDROUTES.file)?,
            None => self.by_sender.or(self.otherwise),
        };
        Ok(local.filter(|local| local.is_ipv4() == remote.is_ipv4()))
    }
}

fn sender_keys(sender: &Address) -> Vec<Vec<u8>> {
    let mut keys = vec![sender.as_bytes().to_vec()];
    if let Some(domain) = sender.domain() {
        keys.push(domain.to_vec());
        let dots = domain.iter().enumerate().filter(|(_, b)| **b == b'.');
        keys.extend(dots.map(|(at, _)| domain[at..].to_vec()));
    }
    keys.push(Vec::new());
    keys.dedup();
    keys
}

/// Parses an address; nothing and the unspecified one leave it to the system.
fn parse(ip: &[u8], file: &str) -> Result<Option<IpAddr>, Failure> {
    let ip = ip.trim_ascii();
    if ip.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(ip).ok();
    let ip: IpAddr = text
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::LocalAddress(PathBuf::from("control").join(file)))?;
    Ok(Some(ip).filter(|ip| !ip.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remote_address_beats_the_sender_and_the_sender_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        std::fs::create_dir(&control).unwrap();
        std::fs::write(control.join("outgoingip"), "192.0.2.1\n").unwrap();
        std::fs::write(control.join("domainbindings"), "a.example:192.0.2.2\n").unwrap();
        std::fs::write(control.join("bindroutes"), "10.1.:192.0.2.3\n").unwrap();
        let settings = Settings::of_files(&run::Home::at(directory.path()));
        let local = |sender: &str, remote: &str| {
            let sender = Address::parse(sender.as_bytes()).unwrap();
            let bindings = Bindings::read(&settings, &sender).unwrap();
            let local = bindings.local(remote.parse().unwrap()).unwrap();
            (local.map(|ip| ip.to_string()), bindings.helo.is_some())
        };
        let ip = |last: u8| Some(format!("192.0.2.{last}"));
        assert_eq!(local("x@b.example", "10.2.0.1"), (ip(1), false));
        assert_eq!(local("x@a.example", "10.2.0.1"), (ip(2), true));
        assert_eq!(local("x@a.example", "10.1.0.1"), (ip(3), true));
        assert_eq!(local("x@a.example", "::1"), (None, true));
        std::fs::write(control.join("outgoingip"), "eth0\n").unwrap();
        let sender = Address::parse(b"").unwrap();
        assert!(Bindings::read(&settings, &sender).is_err());
    }
}
