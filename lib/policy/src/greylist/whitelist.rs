//! Clients that never wait: `greylist.white`.

use std::net::IpAddr;

/// The lines of the file.
#[derive(Debug, Default)]
pub struct Whitelist(Vec<String>);

impl Whitelist {
    /// Reads the lines: addresses, networks (`192.0.2.0/24`, `192.0.2`), and
    /// patterns of four fields.
    pub fn new(lines: &[Vec<u8>]) -> Self {
        let line = |line: &Vec<u8>| {
            let text = String::from_utf8(line.clone()).ok()?;
            let fields = text.split('.').count();
            let is_short = fields < 4
                && !text.contains(['/', ':'])
                && text.split('.').all(|field| field.parse::<u8>().is_ok());
            Some(match is_short {
                // The older form: what is missing may be anything.
                true => text + &".*".repeat(4 - fields),
                false => text,
            })
        };
        Self(lines.iter().filter_map(line).collect())
    }

    /// Says whether a client is on it.
    pub fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical().to_string();
        self.0.iter().any(|line| crate::access::fits(line, &ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_patterns() {
        let lines = [
            "192.0.2.1",
            "10.0.0.0/8",
            "172.16",
            "203.0.113.1-5",
            "2001:db8::/32",
        ];
        let list = Whitelist::new(&lines.map(|line| line.as_bytes().to_vec()));
        for (ip, is_on) in [
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("10.9.9.9", true),
            ("172.16.4.5", true),
            ("172.17.4.5", false),
            ("203.0.113.5", true),
            ("203.0.113.6", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(list.has(ip.parse().unwrap()), is_on, "{ip}");
        }
    }
}
