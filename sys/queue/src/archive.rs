//! Copies of mail for an archive: the control file `mailarchive`
//! (queue-and-delivery.md §3.1.5).
//!
//! Differs from the original: patterns are wildcards always, so that the
//! set-uid writer needs no regular expressions.

use text::wildmat;

/// Most copies of one message.
const COPIES_MAX: usize = 100;

/// The lines of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Archive(Vec<Rule>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    side: Side,
    /// Empty for every address.
    pattern: Vec<u8>,
    negated: bool,
    address: Vec<u8>,
}

/// Which address of the envelope a rule looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Sender,
    Recipients,
}

impl Archive {
    /// Reads `type:pattern:address` lines; those that make no sense are left
    /// out.
    pub fn new(lines: &[Vec<u8>]) -> Self {
        Self(lines.iter().filter_map(|line| Rule::parse(line)).collect())
    }

    /// Adds who keeps a copy because of the sender.
    pub fn of_sender(&self, sender: &[u8], copies: &mut Vec<Vec<u8>>) {
        self.matching(Side::Sender, sender, copies);
    }

    /// Adds who keeps a copy because of this recipient.
    pub fn of_recipient(&self, recipient: &[u8], copies: &mut Vec<Vec<u8>>) {
        self.matching(Side::Recipients, recipient, copies);
    }

    fn matching(&self, side: Side, address: &[u8], copies: &mut Vec<Vec<u8>>) {
        for rule in self.0.iter().filter(|rule| rule.side == side) {
            if !rule.matches(address) || COPIES_MAX <= copies.len() {
                continue;
            }
            let copy = rule.expand(address);
            // Nobody gets two copies; an address that cannot be one gets none.
            if !copies.contains(&copy) && address::Address::parse(&copy).is_ok() {
                copies.push(copy);
            }
        }
    }
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(3, |&b| b == b':');
        let (kind, pattern, address) = (parts.next()?, parts.next()?, parts.next()?);
        let side = match kind {
            b"F" | b"f" => Side::Sender,
            b"T" | b"t" | b"" | b"*" => Side::Recipients,
            _ => return None,
        };
        let (negated, pattern) = match pattern.strip_prefix(b"!") {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        (!address.is_empty()).then(|| Self {
            side,
            pattern: pattern.to_vec(),
            negated,
            address: address.to_vec(),
        })
    }

    fn matches(&self, address: &[u8]) -> bool {
        let found = match &self.pattern[..] {
            b"" => true,
            b"<>" => address.is_empty(),
            pattern => wildmat::matches(pattern, address),
        };
        found != self.negated
    }

    /// `%u`, `%d` and `%e` stand for parts of the address that matched.
    fn expand(&self, matched: &[u8]) -> Vec<u8> {
        let at = matched.iter().rposition(|&b| b == b'@');
        let (user, domain) = matched.split_at(at.unwrap_or(matched.len()));
        let domain = domain.strip_prefix(b"@").unwrap_or(domain);
        let mut out = Vec::new();
        let mut bytes = self.address.iter();
        while let Some(&byte) = bytes.next() {
            match (byte, bytes.as_slice().first()) {
                (b'%', Some(b'u')) => out.extend_from_slice(user),
                (b'%', Some(b'd')) => out.extend_from_slice(domain),
                (b'%', Some(b'e')) => out.extend_from_slice(matched),
                _ => {
                    out.push(byte);
                    continue;
                }
            }
            bytes.next();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(lines: &str, sender: &str, recipients: &[&str]) -> Vec<String> {
        let lines: Vec<Vec<u8>> = lines.lines().map(|l| l.as_bytes().to_vec()).collect();
        let archive = Archive::new(&lines);
        let mut copies = Vec::new();
        archive.of_sender(sender.as_bytes(), &mut copies);
        for recipient in recipients {
            archive.of_recipient(recipient.as_bytes(), &mut copies);
        }
        copies
            .into_iter()
            .map(|copy| String::from_utf8(copy).unwrap())
            .collect()
    }

    #[test]
    fn rules_name_who_keeps_a_copy() {
        let rules = "F:*@a.example:out-%u@arc\n:!*@a.example:in-%d@arc\nT::all@arc\nF:<>:b@arc\nX:*:no@arc\nnonsense";
        assert_eq!(
            copies(rules, "ann@a.example", &["x@b.example", "y@a.example"]),
            ["out-ann@arc", "in-b.example@arc", "all@arc"]
        );
        assert_eq!(copies(rules, "", &[]), ["b@arc"]);
        assert_eq!(copies("T::%e.%x@arc", "", &["a@b"]), ["a@b.%x@arc"]);
    }

    #[test]
    fn everybody_keeps_one_copy() {
        let many = ["a@b", "c@d", "e@f"];
        assert_eq!(copies("T::arc@x\nT:*:arc@x", "", &many), ["arc@x"]);
    }
}
