//! Which messages match a pattern.

use std::io::{self, Read};

use regex::bytes::{Regex, RegexBuilder};
use run::Exit;

use crate::options::Options;

/// Longest piece of a message that is searched at once.
const PIECE_BYTES: usize = 1 << 20;
/// How much of a piece is searched again with the next one.
const OVERLAP_BYTES: usize = 64 * 1024;

/// Which messages match.
pub struct Search {
    pattern: Regex,
    bytes_max: Option<u64>,
}

impl Search {
    /// Reads the options.
    pub fn parse(options: &Options) -> Result<Search, Exit> {
        let wrong = |text: String| Exit::new(run::PERMANENT, text);
        let given = options.value('p').unwrap_or_default();
        let pattern = match options.has('e') {
            true => given.to_owned(),
            false => extended(given),
        };
        let pattern = RegexBuilder::new(&pattern)
            .case_insensitive(options.has('i'))
            .multi_line(true)
            .unicode(false)
            .build()
            .map_err(|error| wrong(format!("pattern {given:?}: {error}")))?;
        let number = |text: &str| {
            text.parse()
                .map_err(|_| wrong(format!("{text:?} is no number")))
        };
        let bytes_max = options.value('n').map(number).transpose()?;
        Ok(Search { pattern, bytes_max })
    }

    /// Searches a file piece by piece.
    pub fn finds(&self, text: impl Read) -> io::Result<bool> {
        let mut input = text.take(self.bytes_max.unwrap_or(u64::MAX));
        let mut piece = Vec::new();
        loop {
            let before = piece.len();
            let length = input
                .by_ref()
                .take(PIECE_BYTES as u64)
                .read_to_end(&mut piece)?;
            if self.pattern.is_match(&piece) {
                return Ok(true);
            }
            if length == 0 || piece.len() == before {
                return Ok(false);
            }
            let keep = piece.len().saturating_sub(OVERLAP_BYTES);
            // From the start of a line, so that ^ means the same.
            let line = piece[keep..]
                .iter()
                .position(|&b| b == b'\n')
                .map_or(keep, |at| keep + at + 1);
            piece.drain(..line);
        }
    }
}

/// A basic regular expression as an extended one: there `\(`, `\{`, `\+`,
/// `\?` and `\|` are special, and the same without backslash are not.
fn extended(basic: &str) -> String {
    let mut out = String::new();
    let mut characters = basic.chars().peekable();
    let mut in_brackets = false;
    while let Some(c) = characters.next() {
        match c {
            _ if in_brackets => {
                in_brackets = c != ']';
                out.push(c);
            }
            '[' => {
                in_brackets = true;
                out.push(c);
                // A bracket that comes first is one of the set.
                for first in ['^', ']'] {
                    if characters.peek() == Some(&first) {
                        characters.next();
                        out.push_str(if first == ']' { "\\]" } else { "^" });
                    }
                }
            }
            '\\' => match characters.next() {
                Some(special @ ('(' | ')' | '{' | '}' | '+' | '?' | '|')) => out.push(special),
                Some(other) => out.extend(['\\', other]),
                None => out.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '+' | '?' | '|' => out.extend(['\\', c]),
            '*' if out.is_empty() => out.push_str("\\*"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_patterns_mean_what_they_mean_elsewhere() {
        for (basic, text, expected) in [
            ("a+b", "a+b", true),
            ("a+b", "aab", false),
            ("a\\+b", "aab", true),
            ("\\(ab\\)*c", "ababc", true),
            ("(x)", "(x)", true),
            ("[+(]", "(", true),
            ("[]x]y", "]y", true),
            ("*a", "*a", true),
            ("^b", "a\nb", true),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("", "anything", true),
        ] {
            let pattern = RegexBuilder::new(&extended(basic))
                .multi_line(true)
                .build()
                .unwrap();
            assert_eq!(
                pattern.is_match(text.as_bytes()),
                expected,
                "{basic} {text}"
            );
        }
    }

    #[test]
    fn a_match_across_two_pieces_is_found() {
        let mut text = "x\n".repeat(PIECE_BYTES / 2 - 2);
        text += "needle in hay\n";
        text += &"y\n".repeat(PIECE_BYTES);
        let pattern = Regex::new("(?m)^needle in hay$").unwrap();
        let bytes_max = None;
        assert!(
            Search { pattern, bytes_max }
                .finds(text.as_bytes())
                .unwrap()
        );
    }
}
