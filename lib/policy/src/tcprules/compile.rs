//! From lines to a cdb.

use std::net::IpAddr;

use super::{IPV4_BITS, IPV6_BITS, bits};

/// Most records one range may expand to.
const RANGE_MAX: u32 = 255;

/// A line that is no rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unable to parse this line: {line}")]
pub struct LineError {
    /// Its number, from 1.
    pub number: usize,
    /// The line itself.
    pub line: String,
}

/// A record of the database: key and data.
pub type Record = (Vec<u8>, Vec<u8>);

/// Reads the whole text and returns the records of the database, in order.
pub fn compile(text: &[u8]) -> Result<Vec<Record>, LineError> {
    let mut records = Vec::new();
    for (index, line) in text.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        let (address, data) = rule(line).ok_or_else(|| LineError {
            number: index + 1,
            line: String::from_utf8_lossy(line).into_owned(),
        })?;
        let keys = keys(address).ok_or_else(|| LineError {
            number: index + 1,
            line: String::from_utf8_lossy(line).into_owned(),
        })?;
        records.extend(keys.into_iter().map(|key| (key, data.clone())));
    }
    Ok(records)
}

/// Splits at the first colon directly before `allow` or `deny`: addresses
/// contain colons too.
fn rule(line: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    (0..line.len())
        .filter(|&at| line[at] == b':')
        .find_map(|at| {
            let words = &line[at + 1..];
            let (mut data, mut rest) = if let Some(rest) = words.strip_prefix(b"allow") {
                (Vec::new(), rest)
            } else {
                (b"D\0".to_vec(), words.strip_prefix(b"deny")?)
            };
            while !rest.is_empty() {
                rest = instruction(rest, &mut data)?;
            }
            Some((&line[..at], data))
        })
}

/// One `,VAR=QtextQ` or `,!VAR`; what follows it.
fn instruction<'a>(rest: &'a [u8], data: &mut Vec<u8>) -> Option<&'a [u8]> {
    let rest = rest.strip_prefix(b",")?;
    if let Some(rest) = rest.strip_prefix(b"!") {
        let end = rest.iter().position(|&b| b == b',').unwrap_or(rest.len());
        let name = Some(&rest[..end]).filter(|name| is_name(name))?;
        data.push(b'-');
        data.extend_from_slice(name);
        data.push(0);
        return Some(&rest[end..]);
    }
    let equals = rest.iter().position(|&b| b == b'=')?;
    let name = Some(&rest[..equals]).filter(|name| is_name(name))?;
    let (&quote, value) = rest[equals + 1..].split_first()?;
    let end = value.iter().position(|&b| b == quote)?;
    if value[..end].contains(&0) {
        return None;
    }
    data.push(b'+');
    data.extend_from_slice(name);
    data.push(b'=');
    data.extend_from_slice(&value[..end]);
    data.push(0);
    Some(&value[end + 1..])
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The keys an address stands for: one, a range of them, or a network.
fn keys(address: &[u8]) -> Option<Vec<Vec<u8>>> {
    let plain = || Some(vec![address.to_vec()]);
    if address.iter().any(|b| matches!(b, b'=' | b'@')) {
        return plain();
    }
    if let Some(slash) = address.iter().position(|&b| b == b'/') {
        return network(&address[..slash], &address[slash + 1..]).map(|key| vec![key]);
    }
    if address.contains(&b'-') {
        return range(address);
    }
    match std::str::from_utf8(address).ok()?.parse() {
        // One spelling for each IPv6 address.
        Ok(IpAddr::V6(ip)) => Some(vec![ip.to_string().into_bytes()]),
        _ => plain(),
    }
}

/// `1.2.3.37-53`, `10.2-3.`: one record per number of the component.
fn range(address: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(address).ok()?;
    let dash = text.find('-')?;
    let start = text[..dash].rfind('.').map_or(0, |dot| dot + 1);
    let end = text[dash..].find('.').map_or(text.len(), |dot| dash + dot);
    let low: u32 = text[start..dash].parse().ok()?;
    let high: u32 = text[dash + 1..end].parse().ok()?;
    let (head, tail) = (&text[..start], &text[end..]);
    if RANGE_MAX < low || high < low || tail.contains('-') {
        return None;
    }
    let record = |number: u32| format!("{head}{number}{tail}").into_bytes();
    Some((low..=high.min(RANGE_MAX)).map(record).collect())
}

/// `127.0/8`, `fe80::/64`: the bits of the network.
fn network(address: &[u8], length: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(address).ok()?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    if text.contains(':') {
        let IpAddr::V6(ip) = text.parse().ok()? else {
            return None;
        };
        return (length <= 128).then(|| bits(IPV6_BITS, &ip.octets(), length));
    }
    let mut octets = [0u8; 4];
    let mut parts = text.trim_end_matches('.').split('.');
    for octet in &mut octets {
        let Some(part) = parts.next() else { break };
        *octet = part.parse().ok()?;
    }
    (parts.next().is_none() && length <= 32).then(|| bits(IPV4_BITS, &octets, length))
}
