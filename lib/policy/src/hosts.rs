//! Lists of domains with `.suffix` lines: rcpthosts with morercpthosts.cdb,
//! locals, virtualdomains.

use std::collections::HashSet;

/// A set of domains; `.domain` covers everything below it.
#[derive(Debug, Default)]
pub struct Hosts {
    lines: HashSet<Vec<u8>>,
    cdb: Option<Vec<u8>>,
}

impl Hosts {
    /// Builds the set from the lines of its file and the bytes of its cdb.
    pub fn new(lines: Vec<Vec<u8>>, cdb: Option<Vec<u8>>) -> Self {
        let lines = lines
            .into_iter()
            .map(|line| line.to_ascii_lowercase())
            .collect();
        Self { lines, cdb }
    }

    /// Says whether the set has the domain, or a suffix of it that begins
    /// with a dot.
    pub fn contains(&self, domain: &[u8]) -> bool {
        self.line_of(domain).is_some()
    }

    /// The line that covers the domain, in lower case.
    pub fn line_of(&self, domain: &[u8]) -> Option<Vec<u8>> {
        let domain = domain.to_ascii_lowercase();
        let domain = domain.strip_suffix(b".").unwrap_or(&domain);
        let reader = self
            .cdb
            .as_deref()
            .and_then(|file| cdb::Reader::new(file).ok());
        let mut covering = suffixes(domain).filter(|&suffix| {
            self.lines.contains(suffix)
                || reader.is_some_and(|reader| matches!(reader.find(suffix), Ok(Some(_))))
        });
        covering.next().map(<[u8]>::to_vec)
    }

    /// Says whether mail for an address may come in: its domain is in the
    /// set, or it has none (qmail-smtpd(8)).
    pub fn allow(&self, address: &[u8]) -> bool {
        match address.iter().rposition(|&b| b == b'@') {
            Some(at) => self.contains(&address[at + 1..]),
            None => true,
        }
    }
}

/// The name itself, then what follows each dot with the dot.
pub(crate) fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dots = (1..name.len()).filter(|&at| name[at] == b'.');
    std::iter::once(name).chain(dots.map(|at| &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_suffixes_and_the_cdb_are_asked() {
        let mut builder = cdb::Builder::default();
        builder.add(b".more.test", b"").unwrap();
        let hosts = Hosts::new(
            vec![b"Local.test".to_vec(), b".af.mil".to_vec()],
            Some(builder.finish().unwrap()),
        );
        assert!(hosts.allow(b"x@LOCAL.test"));
        assert!(hosts.allow(b"x@local.test."));
        assert!(hosts.allow(b"x@heaven.af.mil"));
        assert!(!hosts.allow(b"x@af.mil"));
        assert!(hosts.allow(b"x@a.more.test"));
        assert!(!hosts.allow(b"x@other.test"));
        assert!(!hosts.allow(b"x@sub.local.test"));
        assert!(hosts.allow(b"postmaster"));
        assert!(!hosts.allow(b"x@local.test@other.test"));
    }
}
