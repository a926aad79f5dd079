//! From a cdb to what holds for one client.

use std::net::IpAddr;

use cdb::{Corrupt, Reader};

use super::{IPV4_BITS, IPV6_BITS, bits};

/// What is known about a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// Its address, as text.
    pub ip: &'a str,
    /// Its name; `None` when unknown.
    pub host: Option<&'a str>,
    /// What IDENT said; never trust it.
    pub info: Option<&'a str>,
}

/// The rule that holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rule {
    /// Its key; `None` when no rule matched, which allows.
    pub key: Option<Vec<u8>>,
    /// What it says, in order.
    pub instructions: Vec<Instruction>,
}

/// One thing a rule says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Instruction {
    /// No connection.
    Deny,
    /// Set a variable.
    Set(String, Vec<u8>),
    /// Remove a variable.
    Unset(String),
}

impl Rule {
    /// Says whether the rule refuses the connection.
    pub fn denies(&self) -> bool {
        self.instructions.contains(&Instruction::Deny)
    }

    /// The variables it changes: a value sets, `None` removes.
    pub fn changes(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.instructions
            .iter()
            .filter_map(|instruction| match instruction {
                Instruction::Deny => None,
                Instruction::Set(name, value) => Some((name.as_str(), Some(value.as_slice()))),
                Instruction::Unset(name) => Some((name.as_str(), None)),
            })
    }
}

/// Finds the rule for a client: the first key that exists decides alone.
pub fn lookup(rules: &Reader<'_>, client: Client<'_>) -> Result<Rule, Corrupt> {
    for key in keys(client) {
        if let Some(data) = rules.find(&key)? {
            return Ok(Rule {
                key: Some(key),
                instructions: instructions(data),
            });
        }
    }
    Ok(Rule::default())
}

/// The keys in the order of smtp-receiving.md §1.7.
fn keys(client: Client<'_>) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let host = client.host.filter(|host| !host.is_empty());
    if let Some(info) = client.info {
        keys.push(format!("{info}@{}", client.ip).into_bytes());
        keys.extend(host.map(|host| format!("{info}@={host}").into_bytes()));
    }
    let address: Option<IpAddr> = client.ip.parse().ok();
    let address = address.map(|ip| ip.to_canonical());
    keys.extend(address.map(|ip| ip.to_string().into_bytes()));
    keys.push(client.ip.as_bytes().to_vec());
    keys.extend(host.map(|host| format!("={host}").into_bytes()));
    match address {
        Some(IpAddr::V4(ip)) => {
            let text = ip.to_string();
            let prefixes = text.rmatch_indices('.');
            keys.extend(prefixes.map(|(at, _)| text.as_bytes()[..=at].to_vec()));
            keys.extend((0..=32).rev().map(|n| bits(IPV4_BITS, &ip.octets(), n)));
        }
        Some(IpAddr::V6(ip)) => {
            keys.extend((0..=128).rev().map(|n| bits(IPV6_BITS, &ip.octets(), n)));
        }
        None => {}
    }
    if let Some(host) = host {
        let suffixes = host.match_indices('.');
        keys.extend(suffixes.map(|(at, _)| format!("={}", &host[at..]).into_bytes()));
        keys.push(b"=".to_vec());
    }
    keys.push(Vec::new());
    keys
}

fn instructions(data: &[u8]) -> Vec<Instruction> {
    data.split(|&b| b == 0)
        .filter_map(|item| match item.split_first()? {
            (b'D', _) => Some(Instruction::Deny),
            (b'+', rest) => {
                let equals = rest.iter().position(|&b| b == b'=')?;
                let name = String::from_utf8(rest[..equals].to_vec()).ok()?;
                Some(Instruction::Set(name, rest[equals + 1..].to_vec()))
            }
            (b'-', rest) => Some(Instruction::Unset(String::from_utf8(rest.to_vec()).ok()?)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;

    fn find(rules: &str, ip: &str, host: Option<&str>) -> Rule {
        let mut builder = cdb::Builder::default();
        for (key, data) in compile(rules.as_bytes()).unwrap() {
            builder.add(&key, &data).unwrap();
        }
        let file = builder.finish().unwrap();
        let client = Client {
            ip,
            host,
            info: None,
        };
        lookup(&Reader::new(&file).unwrap(), client).unwrap()
    }

    fn key(rules: &str, ip: &str, host: Option<&str>) -> Option<String> {
        let rule = find(rules, ip, host);
        rule.key.map(|key| String::from_utf8(key).unwrap())
    }

    #[test]
    fn the_most_specific_rule_decides_alone() {
        let rules = "1.2.3.4:allow,A=\"1\"\n1.2.3.:deny\n=.x.test:allow,B=\"2\"\n:allow\n";
        let rule = find(rules, "1.2.3.4", None);
        let set = Instruction::Set("A".into(), b"1".to_vec());
        assert_eq!(rule.instructions, [set]);
        assert!(find(rules, "1.2.3.9", None).denies());
        let key = |ip, host| key(rules, ip, host);
        assert_eq!(
            key("9.9.9.9", Some("a.x.test")).as_deref(),
            Some("=.x.test")
        );
        assert_eq!(key("9.9.9.9", None).as_deref(), Some(""));
    }

    #[test]
    fn ranges_networks_and_ipv6_are_found() {
        let rules = "10.0.0.1-3:deny\n10.2-3.:deny\n127.0/8:allow,L=xyx\nfe80::/64:deny\n\
                     2001:db8:0::1:allow,!RELAYCLIENT\n=:deny\n";
        assert!(find(rules, "10.0.0.2", None).denies());
        assert_eq!(find(rules, "10.0.0.4", None), Rule::default());
        assert!(find(rules, "10.3.9.9", None).denies());
        assert_eq!(key(rules, "127.1.2.3", None).as_deref(), Some("_01111111"));
        assert!(find(rules, "fe80::abcd", None).denies());
        assert_eq!(
            key(rules, "2001:db8::1", None).as_deref(),
            Some("2001:db8::1")
        );
        let unset = Instruction::Unset("RELAYCLIENT".into());
        assert_eq!(find(rules, "2001:db8::1", None).instructions, [unset]);
        assert!(find(rules, "8.8.8.8", Some("any.test")).denies());
        assert!(find(rules, "::ffff:10.0.0.2", None).denies());
    }

    #[test]
    fn a_bad_line_is_quoted() {
        for bad in [
            "1.2.3.4",
            "1.2.3.4:permit",
            "1:allow,A=\"1",
            "1:allow,=\"1\"",
            "1:allowed",
            "9-1:deny",
            "1.2.3.4/33:deny",
            "1:allow,",
        ] {
            let error = compile(bad.as_bytes()).unwrap_err();
            assert_eq!((error.number, error.line.as_str()), (1, bad));
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            let _ = compile(&text);
            Ok(())
        });
    }
}
