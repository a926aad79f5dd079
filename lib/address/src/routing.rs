//! Which recipients are local: the control files `locals`, `virtualdomains`,
//! `percenthack` and `envnoathost` (queue-and-delivery.md §4.2).

use std::collections::{HashMap, HashSet};

/// Where a recipient goes, with its rewritten address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// To a user or virtual domain of this host.
    Local(Vec<u8>),
    /// To another host.
    Remote(Vec<u8>),
}

/// The tables as they were read; keys are compared without ASCII case.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    host_of_bare_names: Vec<u8>,
    percenthack: HashSet<Vec<u8>>,
    locals: HashSet<Vec<u8>>,
    virtual_domains: VirtualDomains,
}

impl Routing {
    /// Builds the tables from the lines of the control files.
    pub fn new(
        envnoathost: &[u8],
        percenthack: &[Vec<u8>],
        locals: &[Vec<u8>],
        virtualdomains: &[Vec<u8>],
    ) -> Self {
        let set = |lines: &[Vec<u8>]| lines.iter().map(|l| l.to_ascii_lowercase()).collect();
        Self {
            host_of_bare_names: envnoathost.to_vec(),
            percenthack: set(percenthack),
            locals: set(locals),
            virtual_domains: VirtualDomains::new(virtualdomains),
        }
    }

    /// Rewrites a recipient and says where it goes.
    pub fn route(&self, recipient: &[u8]) -> Route {
        let mut address = recipient.to_vec();
        if !address.contains(&b'@') {
            address.push(b'@');
            address.extend_from_slice(&self.host_of_bare_names);
        }
        loop {
            let at = last(&address, b'@').unwrap_or(0);
            let percent = last(&address[..at], b'%');
            match percent {
                Some(percent) if holds(&self.percenthack, &address[at + 1..]) => {
                    address.truncate(at);
                    address[percent] = b'@';
                }
                _ if holds(&self.locals, &address[at + 1..]) => return Route::Local(address),
                _ => break,
            }
        }
        match self.virtual_domains.prepend_for(&address) {
            Some(prepend) if !prepend.is_empty() => {
                Route::Local([prepend, b"-", &address].concat())
            }
            _ => Route::Remote(address),
        }
    }
}

/// The table `virtualdomains`: users and domains handed to local users.
#[derive(Clone, Debug, Default)]
pub struct VirtualDomains(HashMap<Vec<u8>, Vec<u8>>);

impl VirtualDomains {
    /// Builds the table; of two lines with one key the later wins, lines
    /// without a colon are ignored.
    pub fn new(lines: &[Vec<u8>]) -> Self {
        let pairs = lines.iter().filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            Some((
                line[..colon].to_ascii_lowercase(),
                line[colon + 1..].to_vec(),
            ))
        });
        Self(pairs.collect())
    }

    /// What goes in front of this address; an empty answer is an exception:
    /// the address is not virtual.
    fn prepend_for(&self, address: &[u8]) -> Option<&[u8]> {
        let address = address.to_ascii_lowercase();
        let at = last(&address, b'@')?;
        let user = self.0.get(&address).map(Vec::as_slice);
        user.or_else(|| self.prepend_for_domain(&address[at + 1..]))
    }

    /// The domain itself, what follows each of its dots with the dot, and the
    /// empty key; the first hit counts.
    fn prepend_for_domain(&self, domain: &[u8]) -> Option<&[u8]> {
        let dots = (0..domain.len()).filter(|&i| domain[i] == b'.');
        std::iter::once(0)
            .chain(dots)
            .chain(std::iter::once(domain.len()))
            .find_map(|start| self.0.get(&domain[start..]))
            .map(Vec::as_slice)
    }

    /// The address as the world knows it: without what this table put in
    /// front.
    pub fn without_prepend<'a>(&self, address: &'a [u8]) -> &'a [u8] {
        let Some(at) = last(address, b'@') else {
            return address;
        };
        let domain = address[at + 1..].to_ascii_lowercase();
        self.prepend_for_domain(&domain)
            .filter(|prepend| !prepend.is_empty())
            .and_then(|prepend| address.strip_prefix(prepend)?.strip_prefix(b"-"))
            .unwrap_or(address)
    }
}

fn holds(set: &HashSet<Vec<u8>>, domain: &[u8]) -> bool {
    !set.is_empty() && set.contains(&domain.to_ascii_lowercase())
}

fn last(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().rposition(|&b| b == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace()
            .map(|l| l.as_bytes().to_vec())
            .collect()
    }

    fn routing() -> Routing {
        Routing::new(
            b"bare.example",
            &lines("hack.example other.example"),
            &lines("home.example Other.Example both.example"),
            &lines(
                "v.example:old v.example:john joe@v.example: .w.example:bob both.example:x \
                 bare.example:b ann@r.example:anns nocolon .deep.w.example:deep",
            ),
        )
    }

    #[test]
    fn the_table_of_the_guide() {
        let routing = routing();
        for (recipient, expected) in [
            ("ann@home.example", "local ann@home.example"),
            ("ann@HOME.example", "local ann@HOME.example"),
            ("ann", "local b-ann@bare.example"),
            ("@home.example", "local @home.example"),
            ("a@b@home.example", "local a@b@home.example"),
            // locals win over virtualdomains.
            ("ann@both.example", "local ann@both.example"),
            // The later of two lines, and its exception.
            ("ann@V.example", "local john-ann@V.example"),
            ("Joe@v.Example", "remote Joe@v.Example"),
            // Suffixes start at a dot, the longest first.
            ("x@a.w.example", "local bob-x@a.w.example"),
            ("x@a.deep.w.example", "local deep-x@a.deep.w.example"),
            ("x@w.example", "remote x@w.example"),
            // One user of a domain that is not ours.
            ("ANN@r.example", "local anns-ANN@r.example"),
            ("bob@r.example", "remote bob@r.example"),
            // The last percent sign, again and again.
            ("a%b%c@hack.example", "remote a%b@c"),
            (
                "a%home.example%other.example@hack.example",
                "local a@home.example",
            ),
            ("a%b@v.example", "local john-a%b@v.example"),
        ] {
            let route = match routing.route(recipient.as_bytes()) {
                Route::Local(address) => [b"local ", &address[..]].concat(),
                Route::Remote(address) => [b"remote ", &address[..]].concat(),
            };
            assert_eq!(String::from_utf8(route).unwrap(), expected, "{recipient}");
        }
    }

    #[test]
    fn an_empty_key_takes_the_rest() {
        let routing = Routing::new(b"h", &[], &lines("h"), &lines(":all"));
        assert_eq!(
            routing.route(b"x@anything"),
            Route::Local(b"all-x@anything".to_vec())
        );
        assert_eq!(routing.route(b"x"), Route::Local(b"x@h".to_vec()));
    }

    #[test]
    fn a_bounce_shows_the_address_before_rewriting() {
        let table = VirtualDomains::new(&lines("v.example:john .w.example:a-b e.example:"));
        assert_eq!(
            table.without_prepend(b"john-joe@V.example"),
            b"joe@V.example"
        );
        assert_eq!(
            table.without_prepend(b"jane-joe@v.example"),
            b"jane-joe@v.example"
        );
        assert_eq!(
            table.without_prepend(b"a-b-x@y.w.example"),
            b"x@y.w.example"
        );
        assert_eq!(table.without_prepend(b"-x@e.example"), b"-x@e.example");
        assert_eq!(table.without_prepend(b"x"), b"x");
    }

    #[test]
    fn no_address_makes_it_loop_or_panic() {
        let routing = routing();
        property::holds(|u| {
            let mut recipient = property::bytes(u)?;
            recipient.extend_from_slice(b"%hack.example@hack.example");
            routing.route(&recipient);
            Ok(())
        });
    }
}
