//! Which clients may relay by address or name: `relayclients` and
//! `relaydomains`, consulted when `RELAYCLIENT` says nothing.

use crate::hosts::suffixes;

/// A line that lets a client relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant<'a> {
    /// As it is written.
    pub line: &'a [u8],
    /// What is appended to each recipient.
    pub suffix: &'a [u8],
}

/// The line of `relayclients` for the client's IP: `IP:suffix` or
/// `prefix.:suffix`, longest first.
pub fn by_ip<'a>(lines: &'a [Vec<u8>], ip: &str) -> Option<Grant<'a>> {
    let dots = ip.rmatch_indices('.').map(|(at, _)| &ip[..=at]);
    std::iter::once(ip)
        .chain(dots)
        .find_map(|key| value(lines, key.as_bytes()))
}

/// The line of `relaydomains` for the client's confirmed name: `host:suffix`
/// or `.domain:suffix`. The empty key never matches: it would make everybody a
/// relay client.
pub fn by_name<'a>(lines: &'a [Vec<u8>], host: &[u8]) -> Option<Grant<'a>> {
    suffixes(host)
        .filter(|key| !key.is_empty())
        .find_map(|key| value(lines, key))
}

fn value<'a>(lines: &'a [Vec<u8>], key: &[u8]) -> Option<Grant<'a>> {
    lines.iter().find_map(|line| {
        // IPv6 addresses contain colons: the last one divides.
        let colon = line.iter().rposition(|&b| b == b':')?;
        line[..colon].eq_ignore_ascii_case(key).then_some(Grant {
            line,
            suffix: &line[colon + 1..],
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let lines = [
            b"192.0.2.:".to_vec(),
            b"192.0.2.7:@gate".to_vec(),
            b"2001:db8::1:".to_vec(),
        ];
        let suffix = |ip| by_ip(&lines, ip).map(|grant| grant.suffix);
        assert_eq!(suffix("192.0.2.7"), Some(&b"@gate"[..]));
        assert_eq!(suffix("192.0.2.8"), Some(&b""[..]));
        assert_eq!(suffix("192.0.20.8"), None);
        assert_eq!(suffix("2001:db8::1"), Some(&b""[..]));
    }

    #[test]
    fn names_match_by_suffix_and_never_by_nothing() {
        let lines = [b".lan.test:".to_vec(), b":".to_vec()];
        assert!(by_name(&lines, b"pc.LAN.test").is_some());
        assert!(by_name(&lines, b"pc.wan.test").is_none());
        assert!(by_name(&lines, b"").is_none());
    }
}
