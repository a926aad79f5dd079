//! The words of the grammar: atoms, numbers, strings, lists.

use super::{ParseError, Parsed, Parser, is_astring_byte, is_atom_byte, syntax};
use crate::folder::{FolderName, NameError};
use crate::set::SequenceSet;

impl<'a> Parser<'a> {
    pub(super) fn set(&mut self) -> Parsed<SequenceSet> {
        let text = self.take_while(|b| matches!(b, b'0'..=b'9' | b':' | b',' | b'*'));
        SequenceSet::parse(text).ok_or(ParseError::Syntax("expected a set of messages"))
    }

    pub(super) fn folder(&mut self) -> Parsed<Result<FolderName, NameError>> {
        Ok(FolderName::parse(&self.astring()?))
    }

    pub(super) fn astring(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => match self.take_while(is_astring_byte) {
                [] => syntax("expected a string"),
                text => Ok(text.to_vec()),
            },
        }
    }

    pub(super) fn nstring(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.word_is("NIL") {
            return Ok(None);
        }
        self.string().map(Some)
    }

    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => syntax("expected a string"),
        }
    }

    pub(super) fn quoted(&mut self) -> Parsed<Vec<u8>> {
        self.byte(b'"')?;
        let mut text = Vec::new();
        loop {
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => match self.next() {
                    Some(b @ (b'"' | b'\\')) => text.push(b),
                    _ => return syntax("bad escape in a quoted string"),
                },
                Some(b'\r' | b'\n' | 0) | None => return syntax("quoted string does not end"),
                Some(b) => text.push(b),
            }
        }
    }

    pub(super) fn literal(&mut self) -> Parsed<Vec<u8>> {
        self.byte(b'{')?;
        let digits = self.take_while(|b| b.is_ascii_digit());
        let length: usize = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(ParseError::Syntax("bad literal"))?;
        if self.next_is(b'+') {
            self.at += 1;
        }
        self.byte(b'}')?;
        if self.next_is(b'\r') {
            self.at += 1;
        }
        self.byte(b'\n')?;
        let end = self.at.checked_add(length);
        let text = end.and_then(|end| self.input.get(self.at..end));
        let text = text.ok_or(ParseError::Syntax("literal is cut off"))?;
        self.at += length;
        if memchr::memchr(0, text).is_some() {
            return syntax("NUL in a literal");
        }
        Ok(text.to_vec())
    }

    pub(super) fn upper_atom(&mut self) -> Parsed<String> {
        Ok(self
            .atom()?
            .iter()
            .map(|b| char::from(b.to_ascii_uppercase()))
            .collect())
    }

    pub(super) fn atom(&mut self) -> Parsed<&'a [u8]> {
        match self.take_while(is_atom_byte) {
            [] => syntax("expected a word"),
            text => Ok(text),
        }
    }

    pub(super) fn number(&mut self) -> Parsed<u32> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(ParseError::Syntax("expected a number"))
    }

    /// Elements in parentheses, one space between two.
    pub(super) fn list<T>(&mut self, element: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.byte(b'(')?;
        let mut elements = Vec::new();
        while !self.next_is(b')') {
            if !elements.is_empty() {
                self.space()?;
            }
            elements.push(element(self)?);
        }
        self.byte(b')')?;
        Ok(elements)
    }

    /// Steps over a word if it is this one, in any case.
    pub(super) fn word_is(&mut self, word: &str) -> bool {
        let rest = &self.input[self.at..];
        let same = rest
            .get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()));
        let ends = !rest.get(word.len()).copied().is_some_and(is_atom_byte);
        if same && ends {
            self.at += word.len();
        }
        same && ends
    }

    /// One space; we take several, since some clients send them.
    pub(super) fn space(&mut self) -> Parsed<()> {
        self.byte(b' ')?;
        while self.next_is(b' ') {
            self.at += 1;
        }
        Ok(())
    }

    pub(super) fn byte(&mut self, wanted: u8) -> Parsed<()> {
        if self.next() == Some(wanted) {
            return Ok(());
        }
        syntax(match wanted {
            b' ' => "expected a space",
            b'(' => "expected (",
            b')' => "expected )",
            b']' => "expected ]",
            _ => "unexpected character",
        })
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at = (self.at + 1).min(self.input.len());
        byte
    }

    pub(super) fn next_is(&self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }
}
