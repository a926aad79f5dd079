//! The address-match engine (smtp-receiving.md §0.6): badmailfrom,
//! badrcptto, goodrcptto, blackholedsender and their like.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};
use text::wildmat;

/// Largest compiled form of one regular expression; more is refused instead
/// of eating memory.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// How lines that are not plain addresses are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Shell-like patterns.
    #[default]
    Wildcard,
    /// Regular expressions, searched anywhere (`QREGEX`).
    Regex,
}

/// A line is not a regular expression. Temporary: the mail may be fine.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line:?} is not a regular expression")]
pub struct BadPattern {
    /// The line.
    pub line: String,
}

/// What stands before the part of a candidate that a line may name alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Separator {
    /// Candidates are addresses; lines may be `@domain`.
    #[default]
    At,
    /// Candidates are names of files; lines may be `.extension`.
    Dot,
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Self::At => b'@',
            Self::Dot => b'.',
        }
    }
}

/// One list, ready to be asked.
#[derive(Debug, Default)]
pub struct AddressList {
    separator: Separator,
    lines: Vec<Vec<u8>>,
    /// Where in `lines` each stands first, in lower case.
    places: HashMap<Vec<u8>, usize>,
    /// The lines that match more than themselves, or take back.
    wild: Vec<Vec<u8>>,
    patterns: Vec<Vec<u8>>,
    regexes: Vec<(Regex, Vec<u8>, bool)>,
    cdb: Option<Vec<u8>>,
}

impl AddressList {
    /// Builds a list from the lines of its file, those of its companion
    /// pattern file and the bytes of its cdb form, each if it exists.
    pub fn new(
        lines: Vec<Vec<u8>>,
        patterns: Vec<Vec<u8>>,
        cdb: Option<Vec<u8>>,
        mode: Mode,
    ) -> Result<Self, BadPattern> {
        Self::separated(Separator::At, lines, patterns, cdb, mode)
    }

    /// As [`AddressList::new`] for candidates of another kind.
    pub fn separated(
        separator: Separator,
        lines: Vec<Vec<u8>>,
        patterns: Vec<Vec<u8>>,
        cdb: Option<Vec<u8>>,
        mode: Mode,
    ) -> Result<Self, BadPattern> {
        let mut list = Self {
            separator,
            cdb,
            ..Self::default()
        };
        match mode {
            Mode::Wildcard => {
                let wild = lines.iter().filter(|line| is_wild(line)).cloned();
                list.wild = wild.collect();
                for (at, line) in lines.iter().enumerate() {
                    list.places.entry(line.to_ascii_lowercase()).or_insert(at);
                }
                (list.lines, list.patterns) = (lines, patterns);
            }
            Mode::Regex => {
                list.regexes = lines
                    .into_iter()
                    .map(|line| compile(line, separator))
                    .collect::<Result<_, _>>()?;
            }
        }
        Ok(list)
    }

    /// Says whether nothing can ever match.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
            && self.patterns.is_empty()
            && self.regexes.is_empty()
            && self.cdb.is_none()
    }

    /// The line that makes this address match, as it is written; ASCII case
    /// does not count.
    pub fn matching(&self, address: &[u8]) -> Option<&[u8]> {
        let address = address.to_ascii_lowercase();
        let host = address
            .iter()
            .rposition(|&b| b == self.separator.byte())
            .map(|at| &address[at..]);
        if let Some(file) = &self.cdb
            && let Ok(reader) = cdb::Reader::new(file)
            && [Some(&address[..]), host]
                .into_iter()
                .flatten()
                .any(|key| !key.is_empty() && matches!(reader.find(key), Ok(Some(_))))
        {
            return Some(b"cdb");
        }
        if let Some((_, line, _)) = self
            .regexes
            .iter()
            .find(|(regex, _, negated)| regex.is_match(&address) != *negated)
        {
            return Some(line);
        }
        let place = |key: &[u8]| self.places.get(key).copied();
        let first = place(&address)
            .into_iter()
            .chain(host.and_then(place))
            .min();
        if !address.is_empty()
            && let Some(at) = first
        {
            return self.lines.get(at).map(Vec::as_slice);
        }
        last_word(&self.wild, &address).or_else(|| last_word(&self.patterns, &address))
    }
}

/// Says whether a line is more than an address: one that is not has no part in
/// the pattern pass, since it would have matched before.
fn is_wild(line: &[u8]) -> bool {
    line.first() == Some(&b'!') || line.iter().any(|b| b"*?[\\".contains(b))
}

/// The pattern pass: later lines overrule earlier ones, `!` takes back.
fn last_word<'a>(lines: &'a [Vec<u8>], address: &[u8]) -> Option<&'a [u8]> {
    if address.is_empty() {
        return None;
    }
    let mut matched: Option<&[u8]> = None;
    for line in lines {
        match line.strip_prefix(b"!") {
            Some(pattern) if matched.is_some() && wildmat::matches(pattern, address) => {
                matched = None;
            }
            None if matched.is_none() && wildmat::matches(line, address) => matched = Some(line),
            _ => {}
        }
    }
    matched
}

fn compile(line: Vec<u8>, separator: Separator) -> Result<(Regex, Vec<u8>, bool), BadPattern> {
    let bad = || BadPattern {
        line: String::from_utf8_lossy(&line).into_owned(),
    };
    let (negated, pattern) = match line.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, &line[..]),
    };
    let text = std::str::from_utf8(pattern).map_err(|_| bad())?;
    let text = match text.as_bytes().first() == Some(&separator.byte()) {
        true => format!(".*{text}"),
        false => text.to_owned(),
    };
    let regex = RegexBuilder::new(&text)
        .case_insensitive(true)
        .unicode(false)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|_| bad())?;
    Ok((regex, line, negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn wildcard(names: &str, patterns: &str) -> AddressList {
        AddressList::new(lines(names), lines(patterns), None, Mode::Wildcard).unwrap()
    }

    #[test]
    fn names_of_files_match_by_their_extension() {
        let list = |names: &str, patterns: &str, mode| {
            let (names, patterns) = (lines(names), lines(patterns));
            AddressList::separated(Separator::Dot, names, patterns, None, mode).unwrap()
        };
        let names = list(".exe\nreadme.txt", "*.p?f\n!good.pif", Mode::Wildcard);
        for bad in ["a.EXE", ".exe", "a.txt.exe", "ReadMe.txt", "x.pif"] {
            assert!(names.matching(bad.as_bytes()).is_some(), "{bad}");
        }
        for fine in ["exe", "a.exe.txt", "a.txt", "good.pif", ""] {
            assert!(names.matching(fine.as_bytes()).is_none(), "{fine}");
        }
        let regexes = list("\\.exe$", "", Mode::Regex);
        assert!(regexes.matching(b"a.exe").is_some());
    }

    #[test]
    fn addresses_and_hosts_match_in_any_case() {
        let list = wildcard("joe@spam.test\n@evil.test", "");
        assert_eq!(list.matching(b"A@EVIL.test"), Some(&b"@evil.test"[..]));
        assert!(list.matching(b"Joe@Spam.Test").is_some());
        assert!(list.matching(b"ann@spam.test").is_none());
        assert!(list.matching(b"").is_none());
    }

    #[test]
    fn a_later_line_overrules_an_earlier_one() {
        let list = wildcard("", "*@isp.test\n!fred@isp.test");
        assert!(list.matching(b"joe@isp.test").is_some());
        assert!(list.matching(b"fred@isp.test").is_none());
        let list = wildcard("*@isp.test\n!fred@isp.test", "");
        assert!(list.matching(b"fred@isp.test").is_none());
    }

    #[test]
    fn the_first_line_that_matches_is_named_however_many_there_are() {
        let many = (0..5000)
            .map(|n| format!("User{n}@x.test\n"))
            .collect::<String>();
        let list = wildcard(&format!("{many}@x.test\nuser7@x.test\n"), "");
        assert_eq!(list.matching(b"user7@x.test"), Some(&b"User7@x.test"[..]));
        assert_eq!(list.matching(b"nobody@x.test"), Some(&b"@x.test"[..]));
        assert_eq!(list.matching(b"user7@y.test"), None);
    }

    fn line(u: &mut property::arbitrary::Unstructured<'_>) -> property::arbitrary::Result<Vec<u8>> {
        const WORDS: [&str; 10] = ["a", "b", "*", "?", "!", "[ab]", "\\a", "@", "@h", "A"];
        let words = property::several(u, |u| u.choose(&WORDS).copied())?;
        Ok(words.concat().into_bytes())
    }

    #[test]
    fn the_passes_agree_with_looking_at_every_line() {
        property::holds(|u| {
            let lines = property::several(u, line)?;
            let lines: Vec<Vec<u8>> = lines.into_iter().filter(|l| !l.is_empty()).collect();
            let address = line(u)?;
            let lower = address.to_ascii_lowercase();
            let host = lower
                .iter()
                .rposition(|&b| b == b'@')
                .map(|at| &lower[at..]);
            let exact = |line: &&Vec<u8>| {
                line.eq_ignore_ascii_case(&lower)
                    || host.is_some_and(|host| line.eq_ignore_ascii_case(host))
            };
            let mut expected = lines.iter().find(exact).map(Vec::as_slice);
            if address.is_empty() {
                expected = None;
            } else if expected.is_none() {
                expected = last_word(&lines, &lower);
            }
            let list = AddressList::new(lines.clone(), Vec::new(), None, Mode::Wildcard);
            assert_eq!(list.unwrap().matching(&address), expected);
            Ok(())
        });
    }

    #[test]
    fn the_empty_sender_is_never_caught_by_a_catch_all() {
        assert!(wildcard("*", "*").matching(b"").is_none());
    }

    #[test]
    fn regexes_are_searched_and_negated_each_for_itself() {
        let list = |text| AddressList::new(lines(text), lines("x*"), None, Mode::Regex).unwrap();
        assert!(list("^[0-9]+@").matching(b"12@x.test").is_some());
        assert!(list("^[0-9]+@").matching(b"a12@x.test").is_none());
        assert!(list("@evil\\.test$").matching(b"x@EVIL.test").is_some());
        assert!(list("!good").matching(b"bad@x.test").is_some());
        assert!(list("^$").matching(b"").is_some());
    }

    #[test]
    fn a_line_that_does_not_compile_is_named() {
        let error = AddressList::new(lines("a(b"), Vec::new(), None, Mode::Regex).unwrap_err();
        assert_eq!(error.line, "a(b");
    }

    #[test]
    fn a_cdb_is_asked_for_the_address_and_its_host() {
        let mut builder = cdb::Builder::default();
        builder.add(b"@evil.test", b"").unwrap();
        let file = builder.finish().unwrap();
        let list = AddressList::new(Vec::new(), Vec::new(), Some(file), Mode::Wildcard).unwrap();
        assert!(list.matching(b"Any@Evil.Test").is_some());
        assert!(list.matching(b"any@good.test").is_none());
    }
}
