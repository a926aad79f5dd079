//! Copies of mail for an archive: the control file `mailarchive`
//! (queue-and-delivery.md §3.1.5).

use std::sync::Arc;

use policy::addresses::{AddressList, BadPattern, Mode};
use text::wildmat;

/// Most copies of one message.
const COPIES_MAX: usize = 100;

/// The lines of the file.
#[derive(Clone, Debug, Default)]
pub struct Archive(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    side: Side,
    pattern: Pattern,
    negated: bool,
    address: Vec<u8>,
}

/// Which addresses.
#[derive(Clone, Debug)]
enum Pattern {
    All,
    NullSender,
    Wildcard(Vec<u8>),
    /// `QREGEX`.
    Regex(Arc<AddressList>),
}

/// Which address of the envelope a rule looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Sender,
    Recipients,
}

impl Archive {
    /// Reads `type:pattern:address` lines; those that make no sense are left
    /// out, but for a pattern that is none: the copy would be missed.
    pub fn new(lines: &[Vec<u8>], mode: Mode) -> Result<Self, BadPattern> {
        let rules = lines.iter().filter_map(|line| Rule::parse(line, mode));
        rules.collect::<Result<_, _>>().map(Self)
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
    fn parse(line: &[u8], mode: Mode) -> Option<Result<Self, BadPattern>> {
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
        if address.is_empty() {
            return None;
        }
        let rule = |pattern| Self {
            side,
            pattern,
            negated,
            address: address.to_vec(),
        };
        Some(Pattern::parse(pattern, mode).map(rule))
    }

    fn matches(&self, address: &[u8]) -> bool {
        let found = match &self.pattern {
            Pattern::All => true,
            Pattern::NullSender => address.is_empty(),
            Pattern::Wildcard(pattern) => wildmat::matches(pattern, address),
            Pattern::Regex(list) => list.matching(address).is_some(),
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

impl Pattern {
    fn parse(pattern: &[u8], mode: Mode) -> Result<Self, BadPattern> {
        Ok(match (pattern, mode) {
            (b"", _) => Self::All,
            (b"<>", _) => Self::NullSender,
            (pattern, Mode::Wildcard) => Self::Wildcard(pattern.to_vec()),
            (pattern, Mode::Regex) => {
                let one = vec![pattern.to_vec()];
                Self::Regex(Arc::new(AddressList::new(one, Vec::new(), None, mode)?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(lines: &str, mode: Mode) -> Result<Archive, BadPattern> {
        let lines: Vec<Vec<u8>> = lines.lines().map(|l| l.as_bytes().to_vec()).collect();
        Archive::new(&lines, mode)
    }

    #[test]
    fn with_qregex_patterns_are_regular_expressions() {
        let rules = "F:^[0-9]+@:n@arc\nT:!@inside\\.example$:out@arc\nF::all@arc\nF:<>:b@arc";
        let archive = archive(rules, Mode::Regex).unwrap();
        let copies = |sender: &[u8], recipient: &[u8]| {
            let mut copies = Vec::new();
            archive.of_sender(sender, &mut copies);
            archive.of_recipient(recipient, &mut copies);
            copies.join(&b' ')
        };
        assert_eq!(copies(b"12@x", b"a@Inside.example"), b"n@arc all@arc");
        assert_eq!(copies(b"a12@x", b"a@x"), b"all@arc out@arc");
        assert_eq!(copies(b"", b"a@inside.example"), b"all@arc b@arc");
    }

    #[test]
    fn a_pattern_that_is_none_is_an_error() {
        assert!(super::Archive::new(&[b"F:(x:a@b".to_vec()], Mode::Regex).is_err());
        assert!(archive("F:(x:a@b", Mode::Wildcard).is_ok());
    }

    fn copies(lines: &str, sender: &str, recipients: &[&str]) -> Vec<String> {
        let archive = archive(lines, Mode::Wildcard).unwrap();
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
