//! One-letter options as the original programs take them: `-vRl0`, `-l 0`.

use run::{Exit, PERMANENT};

/// Options before the other words.
#[derive(Debug)]
pub struct Letters<'a> {
    words: &'a [String],
    at: usize,
    /// What is left of the current word.
    rest: &'a str,
}

impl<'a> Letters<'a> {
    pub fn new(words: &'a [String]) -> Self {
        Self {
            words,
            at: 0,
            rest: "",
        }
    }

    /// The next letter; `None` where the other words begin.
    pub fn next(&mut self) -> Option<char> {
        if self.rest.is_empty() {
            let word = self.words.get(self.at)?;
            match word.as_str() {
                "--" => {
                    self.at += 1;
                    return None;
                }
                word if word.starts_with('-') && 1 < word.len() => self.rest = &word[1..],
                _ => return None,
            }
            self.at += 1;
        }
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    /// The value of the letter just read: the rest of its word, else the next
    /// word.
    pub fn value(&mut self, letter: char) -> Result<&'a str, Exit> {
        if !self.rest.is_empty() {
            return Ok(std::mem::take(&mut self.rest));
        }
        let word = self.words.get(self.at);
        self.at += 1;
        word.map(String::as_str)
            .ok_or_else(|| Exit::new(PERMANENT, format!("-{letter} needs a value; try --help")))
    }

    /// As a number.
    pub fn number(&mut self, letter: char) -> Result<u64, Exit> {
        let text = self.value(letter)?;
        text.parse().map_err(|_| {
            let text = format!("-{letter} needs a number, not {text:?}");
            Exit::new(PERMANENT, text)
        })
    }

    /// What follows the options.
    pub fn others(&self) -> &'a [String] {
        self.words.get(self.at..).unwrap_or_default()
    }
}

/// The end of a program that was given a letter it does not know.
pub fn unknown(program: &str, letter: char) -> Exit {
    let text = format!("unknown option -{letter}; see {program} --help");
    Exit::new(PERMANENT, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_together_or_apart() {
        let words = ["-vR", "-l0", "-c", "5", "host", "-x"].map(str::to_owned);
        let mut letters = Letters::new(&words);
        assert_eq!((letters.next(), letters.next()), (Some('v'), Some('R')));
        assert_eq!(letters.next(), Some('l'));
        assert_eq!(letters.value('l').unwrap(), "0");
        assert_eq!(letters.next(), Some('c'));
        assert_eq!(letters.number('c').unwrap(), 5);
        assert_eq!(letters.next(), None);
        assert_eq!(letters.others(), ["host", "-x"]);
    }
}
