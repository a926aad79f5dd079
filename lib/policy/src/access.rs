//! Who may send from where (`hostaccess`) and who may write to whom
//! (`accesslist`), smtp-receiving.md §2.7.

use std::net::IpAddr;

use crate::addresses::{AddressList, BadPattern, Mode};

/// The lines of `hostaccess`, `DOMAIN:IPPATTERN`.
#[derive(Debug, Default)]
pub struct HostAccess {
    lines: Vec<(Vec<u8>, String)>,
    /// PARANOID: a named domain comes from its named addresses only.
    pub paranoid: bool,
    /// DOMAIN_MASQUERADE: a named address may send for other domains.
    pub masquerade: bool,
}

impl HostAccess {
    /// Reads the lines; those without a colon are skipped.
    pub fn new(lines: &[Vec<u8>]) -> Self {
        let pair = |line: &Vec<u8>| {
            let colon = line.iter().position(|&b| b == b':')?;
            let pattern = String::from_utf8(line[colon + 1..].to_vec()).ok()?;
            Some((line[..colon].to_ascii_lowercase(), pattern))
        };
        Self {
            lines: lines.iter().filter_map(pair).collect(),
            ..Self::default()
        }
    }

    /// Says whether this client may send for the domain of this sender.
    pub fn allows(&self, sender: &[u8], ip: &str) -> bool {
        self.decision(sender, ip).0
    }

    /// The same, with the line that decides, when one does.
    pub fn decision(&self, sender: &[u8], ip: &str) -> (bool, Option<String>) {
        let domain = match sender.iter().rposition(|&b| b == b'@') {
            Some(at) => sender[at + 1..].to_ascii_lowercase(),
            None if sender.is_empty() => b"<>".to_vec(),
            None => Vec::new(),
        };
        let shown = |line: &(Vec<u8>, String)| {
            let (name, pattern) = line;
            format!("{}:{pattern}", String::from_utf8_lossy(name))
        };
        let (mut named_domain, mut named_ip) = (None, None);
        for line in &self.lines {
            let (name, pattern) = line;
            let everywhere = matches!(pattern.as_str(), "*" | "*.*.*.*");
            let domain_fits = name == b"*" || *name == domain;
            let ip_fits = everywhere || fits(pattern, ip);
            match (domain_fits, ip_fits) {
                (true, true) => return (true, Some(shown(line))),
                (true, false) if name != b"*" => named_domain = Some(line),
                (false, true) if !everywhere => named_ip = Some(line),
                _ => {}
            }
        }
        let denying = named_domain.filter(|_| self.paranoid);
        let denying = denying.or(named_ip.filter(|_| !self.masquerade));
        (denying.is_none(), denying.map(shown))
    }
}

/// Compares an address with an exact one, a network, or four fields that are
/// each a number, `*`, digits with `?`, or a range.
pub fn fits(pattern: &str, ip: &str) -> bool {
    let Ok(address) = ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) else {
        return false;
    };
    if let Some((network, length)) = pattern.split_once('/') {
        return in_network(network, length, address);
    }
    if let Ok(exact) = pattern.parse::<IpAddr>() {
        return exact.to_canonical() == address;
    }
    let IpAddr::V4(address) = address else {
        return false;
    };
    let fields: Vec<&str> = pattern.split('.').collect();
    let octets = address.octets();
    fields.len() == octets.len()
        && fields
            .iter()
            .zip(octets)
            .all(|(field, octet)| field_fits(field, octet))
}

fn field_fits(field: &str, octet: u8) -> bool {
    if let Some((low, high)) = field.split_once('-') {
        let high = if high.is_empty() {
            Ok(255)
        } else {
            high.parse::<u16>()
        };
        return matches!((low.parse::<u16>(), high), (Ok(low), Ok(high))
            if (low..=high).contains(&u16::from(octet)));
    }
    text::wildmat::matches(field.as_bytes(), octet.to_string().as_bytes())
}

fn in_network(network: &str, length: &str, address: IpAddr) -> bool {
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    // Both as 128 bits, so that one comparison does for both families.
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let differing: u128 = network ^ address;
    length <= width && differing.checked_shr(width - length).unwrap_or(0) == 0
}

/// The lines of `accesslist`, `rcpt:SENDER:RECIPIENT` and
/// `from:SENDER:RECIPIENT`.
#[derive(Debug, Default)]
pub struct AccessList(Vec<AccessLine>);

#[derive(Debug)]
struct AccessLine {
    text: Vec<u8>,
    /// `rcpt` restricts a recipient, `from` a sender.
    restricts_recipient: bool,
    sender: AddressList,
    recipient: AddressList,
}

impl AccessList {
    /// Reads the lines; those of another form are skipped.
    pub fn new(lines: &[Vec<u8>], mode: Mode) -> Result<Self, BadPattern> {
        let mut list = Vec::new();
        for line in lines {
            let mut fields = line.splitn(3, |&b| b == b':');
            let (Some(kind), Some(sender), Some(recipient)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let side = |text: &[u8]| AddressList::new(vec![text.to_vec()], Vec::new(), None, mode);
            let restricts_recipient = match kind {
                b"rcpt" => true,
                b"from" => false,
                _ => continue,
            };
            list.push(AccessLine {
                text: line.clone(),
                restricts_recipient,
                sender: side(sender)?,
                recipient: side(recipient)?,
            });
        }
        Ok(Self(list))
    }

    /// Says whether this sender may write to this recipient. Notifications,
    /// postmaster and abuse are free.
    pub fn allows(&self, sender: &[u8], recipient: &[u8]) -> bool {
        self.decision(sender, recipient).0
    }

    /// The same, with the line that allows or that restricts.
    pub fn decision(&self, sender: &[u8], recipient: &[u8]) -> (bool, Option<&[u8]>) {
        let local = recipient.split(|&b| b == b'@').next().unwrap_or_default();
        let free = [&b"postmaster"[..], b"abuse"]
            .iter()
            .any(|name| local.eq_ignore_ascii_case(name));
        if free || matches!(sender, b"" | b"#@[]") {
            return (true, None);
        }
        let recipient_fits = |line: &&AccessLine| line.recipient.matching(recipient).is_some();
        let sender_fits = |line: &&AccessLine| line.sender.matching(sender).is_some();
        let mut restricting = None;
        for line in self.0.iter().filter(recipient_fits) {
            if line.restricts_recipient {
                restricting = restricting.or(Some(line));
            }
            if restricting.is_some() && sender_fits(&line) {
                return (true, Some(&line.text));
            }
        }
        let of_recipient = restricting.take();
        for line in self.0.iter().filter(sender_fits) {
            if !line.restricts_recipient {
                restricting = restricting.or(Some(line));
            }
            if restricting.is_some() && recipient_fits(&line) {
                return (true, Some(&line.text));
            }
        }
        let denying = of_recipient.or(restricting);
        (denying.is_none(), denying.map(|line| &line.text[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_named_domain_and_a_named_address_belong_together() {
        let mut access = HostAccess::new(&lines("yahoo.com:192.0.2.5\nno colon"));
        assert!(access.allows(b"a@Yahoo.com", "192.0.2.5"));
        assert!(!access.allows(b"a@other.test", "192.0.2.5"));
        assert!(access.allows(b"a@yahoo.com", "192.0.2.1"));
        assert!(access.allows(b"a@other.test", "192.0.2.1"));
        access.masquerade = true;
        assert!(access.allows(b"a@other.test", "192.0.2.5"));
        access.paranoid = true;
        assert!(!access.allows(b"a@yahoo.com", "192.0.2.1"));
        assert!(HostAccess::new(&lines("<>:*")).allows(b"", "192.0.2.1"));
    }

    #[test]
    fn address_patterns() {
        for (pattern, ip, fit) in [
            ("10.0.*.1-5", "10.0.9.5", true),
            ("10.0.*.1-5", "10.0.9.6", false),
            ("10.0.0.2?", "10.0.0.25", true),
            ("10.0.0.250-", "10.0.0.255", true),
            ("10.0.0.0/8", "10.200.1.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("2001:db8::/32", "2001:db8::7", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("1.2.3", "1.2.3.4", false),
            ("x", "unknown", false),
        ] {
            assert_eq!(fits(pattern, ip), fit, "{pattern} {ip}");
        }
    }

    #[test]
    fn a_list_restricts_who_is_named_in_it() {
        let text = "rcpt:boss@local.test:list@local.test\nfrom:guest@local.test:*@local.test";
        let list = AccessList::new(&lines(text), Mode::Wildcard).unwrap();
        assert!(list.allows(b"boss@local.test", b"list@local.test"));
        assert!(!list.allows(b"other@local.test", b"list@local.test"));
        assert!(list.allows(b"other@local.test", b"ann@far.test"));
        assert!(list.allows(b"", b"list@local.test"));
        assert!(list.allows(b"guest@local.test", b"ann@local.test"));
        assert!(!list.allows(b"guest@local.test", b"ann@far.test"));
        assert!(list.allows(b"guest@local.test", b"abuse@far.test"));
    }
}
