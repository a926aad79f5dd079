//! envrules: variables that depend on an address (smtp-receiving.md §4).

use text::envrules::BadRule;
use text::wildmat;

use crate::addresses::{AddressList, BadPattern, Mode};

/// Variables a rule keyed on a forgeable sender may change.
const CHANGEABLE: [&str; 32] = [
    "ACCESSLIST",
    "ANTISPOOFING",
    "AUTHDOMAINS",
    "AUTH_ALL",
    "BADMAILFROM",
    "BADMAILPATTERNS",
    "BADRCPTPATTERNS",
    "BADRCPTTO",
    "BLACKHOLEDPATTERNS",
    "BLACKHOLEDRCPT",
    "BLACKHOLEDRCPTPATTERNS",
    "BLACKHOLEDSENDER",
    "BODYCHECK",
    "BOUNCEMAIL",
    "CUGMAIL",
    "DATABYTES",
    "FORCE_TLS",
    "GOODRCPTPATTERNS",
    "GOODRCPTTO",
    "GREYIP",
    "GREYCLOSED",
    "MASQUERADE",
    "MAXRECIPIENTS",
    "NODNSCHECK",
    "QREGEX",
    "REQUIREAUTH",
    "SIGNATURES",
    "SPFBEHAVIOR",
    "SPFBEHAVIOUR",
    "TARPITCOUNT",
    "TARPITDELAY",
    "VIRUSCHECK",
];

/// What a rule does to a variable: a value sets, `None` removes it.
pub type Change = (String, Option<Vec<u8>>);

/// The lines of a rule file.
#[derive(Debug, Default)]
pub struct EnvRules(Vec<Line>);

#[derive(Debug)]
struct Line {
    text: Vec<u8>,
    pattern: Pattern,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Pattern {
    Wildcard(Vec<u8>),
    Regex(AddressList),
}

impl EnvRules {
    /// Reads `PATTERN:VAR=value,VAR=` lines. Those without a colon are
    /// skipped, and so are variables a rule may not touch.
    pub fn new(lines: &[Vec<u8>], mode: Mode) -> Result<Self, BadPattern> {
        let mut rules = Vec::new();
        for line in lines {
            let Some(colon) = line.iter().position(|&b| b == b':') else {
                continue;
            };
            let (pattern, assignments) = (line[..colon].to_vec(), &line[colon + 1..]);
            rules.push(Line {
                text: line.clone(),
                pattern: match mode {
                    _ if matches!(&pattern[..], b"" | b"<>") => Pattern::Wildcard(Vec::new()),
                    Mode::Wildcard => Pattern::Wildcard(pattern),
                    Mode::Regex => {
                        Pattern::Regex(AddressList::new(vec![pattern], Vec::new(), None, mode)?)
                    }
                },
                changes: assign(assignments),
            });
        }
        Ok(Self(rules))
    }

    /// The changes for an address, of all lines that match, in file order;
    /// and how many lines that were.
    pub fn changes(&self, address: &[u8]) -> (usize, Vec<Change>) {
        let matching: Vec<&Line> = self.matching(address).collect();
        let changes = matching.iter().flat_map(|line| line.changes.clone());
        (matching.len(), changes.collect())
    }

    /// The lines that match an address, as they are written.
    pub fn lines_for(&self, address: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.matching(address).map(|line| &line.text[..])
    }

    fn matching(&self, address: &[u8]) -> impl Iterator<Item = &Line> {
        self.0.iter().filter(move |line| match &line.pattern {
            Pattern::Wildcard(pattern) => wildmat::matches(pattern, address),
            Pattern::Regex(list) => list.matching(address).is_some(),
        })
    }
}

/// What the rules for programs change for an address, with patterns of this
/// kind: any variable but those that decide which code runs.
pub fn changes_for_programs(
    lines: &[Vec<u8>],
    address: &[u8],
    mode: Mode,
) -> Result<Vec<Change>, BadRule> {
    let lines = lines.iter().map(Vec::as_slice);
    text::envrules::changes_by(lines, address, |pattern, address| match mode {
        Mode::Wildcard => Some(wildmat::matches(pattern, address)),
        Mode::Regex => {
            let one = vec![pattern.to_vec()];
            let list = AddressList::new(one, Vec::new(), None, mode).ok()?;
            Some(list.matching(address).is_some())
        }
    })
}

/// Splits at commas that have no backslash before them.
fn assign(text: &[u8]) -> Vec<Change> {
    let mut pieces = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' => pieces.push(Vec::new()),
            b'\\' if bytes.peek() == Some(&b',') => {
                bytes.next();
                pieces.last_mut().expect("never empty").push(b',');
            }
            byte => pieces.last_mut().expect("never empty").push(byte),
        }
    }
    let change = |piece: Vec<u8>| {
        let piece = piece.trim_ascii_start();
        let equals = piece.iter().position(|&b| b == b'=')?;
        let name = std::str::from_utf8(&piece[..equals]).ok()?;
        let value = Some(piece[equals + 1..].to_vec()).filter(|value| !value.is_empty());
        CHANGEABLE.contains(&name).then(|| (name.to_owned(), value))
    };
    pieces.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str, mode: Mode) -> EnvRules {
        let lines: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        EnvRules::new(&lines, mode).unwrap()
    }

    fn change(name: &str, value: Option<&str>) -> Change {
        (
            name.to_owned(),
            value.map(|value| value.as_bytes().to_vec()),
        )
    }

    #[test]
    fn all_matching_lines_apply_in_order() {
        let text = "*@big.test:DATABYTES=50\na@big.test:DATABYTES=,REQUIREAUTH=1\nno colon\n\
                    <>:MAXRECIPIENTS=1, BOUNCEMAIL=no\\, thanks";
        let rules = rules(text, Mode::Wildcard);
        assert_eq!(
            rules.changes(b"A@Big.test"),
            (
                2,
                vec![
                    change("DATABYTES", Some("50")),
                    change("DATABYTES", None),
                    change("REQUIREAUTH", Some("1")),
                ]
            )
        );
        assert_eq!(
            rules.changes(b"").1,
            [
                change("MAXRECIPIENTS", Some("1")),
                change("BOUNCEMAIL", Some("no, thanks"))
            ]
        );
        assert_eq!(rules.changes(b"c@x.test"), (0, Vec::new()));
    }

    #[test]
    fn dangerous_variables_are_left_alone() {
        let rules = rules(
            "*:PATH=/evil,LD_PRELOAD=x,RELAYCLIENT=x,TCPREMOTEIP=1",
            Mode::Wildcard,
        );
        assert_eq!(rules.changes(b"a@b.test"), (1, Vec::new()));
    }

    #[test]
    fn regexes_are_searched() {
        let rules = rules("^[0-9]+@:DATABYTES=1", Mode::Regex);
        assert_eq!(rules.changes(b"12@x.test").0, 1);
        assert_eq!(rules.changes(b"ann@x.test").0, 0);
    }
}
