//! Instructions that rewrite host names: the control file `rewrite`
//! (queue-and-delivery.md §3.6).

/// Most bytes of a host name that rules may make.
const HOST_BYTES_MAX: usize = 1000;

/// The instructions, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostRules(Vec<Rule>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    kind: Kind,
    old: Vec<u8>,
    new: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// `=old:new`
    Whole,
    /// `*post:new`
    AnyPrefix,
    /// `?post:new`
    PlainPrefix,
    /// `-post:new`
    Replace,
}

/// A line is not an instruction.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{line:?} is no rewrite instruction; they are =old:new, *post:new, ?post:new and -post:new"
)]
pub struct BadRule {
    /// The line, printable.
    pub line: String,
}

impl HostRules {
    /// Reads the lines of a file.
    pub fn parse(lines: &[Vec<u8>]) -> Result<Self, BadRule> {
        let rule = |line: &Vec<u8>| {
            Rule::parse(line).ok_or_else(|| BadRule {
                line: text::log::printable(line, 200),
            })
        };
        lines.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// What holds without a file.
    pub fn standard(default_host: &[u8], default_domain: &[u8], plus_domain: &[u8]) -> Self {
        let rule = |kind, old: &[u8], new: Vec<u8>| Rule {
            kind,
            old: old.to_vec(),
            new,
        };
        Self(vec![
            rule(Kind::AnyPrefix, b".", Vec::new()),
            rule(Kind::Whole, b"", default_host.to_vec()),
            rule(Kind::AnyPrefix, b"+", [b".", plus_domain].concat()),
            rule(Kind::PlainPrefix, b"", [b".", default_domain].concat()),
        ])
    }

    /// Rewrites a host name: each instruction is tried once, in order.
    pub fn apply(&self, host: &[u8]) -> Vec<u8> {
        let mut host = host.to_vec();
        for rule in &self.0 {
            if let Some(new) = rule.apply(&host) {
                host = new;
                host.truncate(HOST_BYTES_MAX);
            }
        }
        host
    }
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        let (first, rest) = line.split_first()?;
        let kind = match first {
            b'=' => Kind::Whole,
            b'*' => Kind::AnyPrefix,
            b'?' => Kind::PlainPrefix,
            b'-' => Kind::Replace,
            _ => return None,
        };
        let colon = memchr::memchr(b':', rest)?;
        Some(Self {
            kind,
            old: rest[..colon].to_vec(),
            new: rest[colon + 1..].to_vec(),
        })
    }

    fn apply(&self, host: &[u8]) -> Option<Vec<u8>> {
        let cut = host.len().checked_sub(self.old.len())?;
        let (prefix, end) = host.split_at(cut);
        if !end.eq_ignore_ascii_case(&self.old) {
            return None;
        }
        let plain = !prefix.iter().any(|b| matches!(b, b'.' | b'[' | b']'));
        match self.kind {
            Kind::Whole => prefix.is_empty().then(|| self.new.clone()),
            Kind::AnyPrefix => Some([prefix, &self.new].concat()),
            Kind::PlainPrefix => plain.then(|| [prefix, &self.new].concat()),
            Kind::Replace => Some(self.new.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(rules: &HostRules, host: &str) -> String {
        String::from_utf8(rules.apply(host.as_bytes())).unwrap()
    }

    fn rules(text: &str) -> Result<HostRules, BadRule> {
        let lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        HostRules::parse(&lines)
    }

    #[test]
    fn without_a_file_names_are_completed() {
        let rules = HostRules::standard(b"here", b"example.org", b"plus.example");
        for (host, expected) in [
            ("", "here.example.org"),
            ("b", "b.example.org"),
            ("b.c", "b.c"),
            ("b.c.", "b.c"),
            ("b+", "b.plus.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
        ] {
            assert_eq!(apply(&rules, host), expected, "{host}");
        }
    }

    #[test]
    fn instructions_are_tried_once_in_order() {
        let rules = rules("=a:b\n=b:c\n*.old:.new\n?.x:.y\n-.gone:there").unwrap();
        for (host, expected) in [
            ("a", "c"),
            ("c", "c"),
            ("m.n.OLD", "m.n.new"),
            ("m.x", "m.y"),
            ("m.n.x", "m.n.x"),
            ("m.n.gone", "there"),
        ] {
            assert_eq!(apply(&rules, host), expected, "{host}");
        }
        assert!(super::tests::rules("=a").is_err() && super::tests::rules("a:b").is_err());
    }
}
