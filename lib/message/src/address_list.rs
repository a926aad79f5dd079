//! Fields that hold addresses (queue-and-delivery.md §3.2.5).
//!
//! Parsed from the right to the left: only then is it clear which words are
//! an address and which are somebody's name.

use crate::rewrite::Names;
use crate::token::{SyntaxError, Token, tokens};

/// Longest line of a folded field, where it can be helped.
const LINE_BYTES_WANTED: usize = 80;

/// The addresses of a field, and all that stands around them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressList {
    items: Vec<Item>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Item {
    Address(Mailbox),
    GroupStart(Words),
    GroupEnd,
    Comment(Vec<u8>),
}

/// A part of an address list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// An address as an envelope has it.
    Address(Vec<u8>),
    /// A name or comment, belonging to the address before it.
    Comment(Vec<u8>),
}

/// Tokens, and whether white space came before each.
type Words = Vec<(Token, bool)>;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Mailbox {
    phrase: Words,
    address: Vec<Token>,
    bracketed: bool,
    comments: Vec<Vec<u8>>,
}

impl AddressList {
    /// Parses the value of a field.
    pub fn parse(value: &[u8]) -> Result<Self, SyntaxError> {
        let mut parser = Parser {
            rest: tokens(value)?,
            items: Vec::new(),
            comments: Vec::new(),
            groups_open: 0,
        };
        while parser.step()? {}
        parser.flush_comments();
        parser.items.reverse();
        Ok(Self {
            items: parser.items,
        })
    }

    /// Makes every address complete.
    pub fn rewrite(&mut self, names: &Names) {
        for item in &mut self.items {
            if let Item::Address(mailbox) = item {
                names.rewrite(&mut mailbox.address);
            }
        }
    }

    /// The addresses as an envelope has them; `<>` is an empty one.
    pub fn addresses(&self) -> impl Iterator<Item = Vec<u8>> {
        self.items.iter().filter_map(|item| match item {
            Item::Address(mailbox) => {
                let mut out = Vec::new();
                mailbox.address.iter().for_each(|t| t.print_raw(&mut out));
                Some(out)
            }
            Item::GroupStart(_) | Item::GroupEnd | Item::Comment(_) => None,
        })
    }

    /// The addresses as a header shows them, without names and comments.
    pub fn bare(&self) -> impl Iterator<Item = Vec<u8>> {
        self.items.iter().filter_map(|item| match item {
            Item::Address(mailbox) => {
                let mut out = Vec::new();
                mailbox.address.iter().for_each(|t| t.print(&mut out));
                Some(out)
            }
            Item::GroupStart(_) | Item::GroupEnd | Item::Comment(_) => None,
        })
    }

    /// Addresses as an envelope has them, and what people wrote around them.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.items.iter().flat_map(|item| match item {
            Item::Address(mailbox) => {
                let mut address = Vec::new();
                let tokens = mailbox.address.iter();
                tokens.for_each(|token| token.print_raw(&mut address));
                let mut phrase = Vec::new();
                print_words(&mailbox.phrase, &mut phrase);
                let phrase = (!phrase.is_empty()).then_some(phrase);
                let words = phrase.into_iter().chain(mailbox.comments.iter().cloned());
                let words = words.map(Piece::Comment);
                std::iter::once(Piece::Address(address))
                    .chain(words)
                    .collect()
            }
            Item::Comment(raw) => vec![Piece::Comment(raw.clone())],
            Item::GroupStart(_) | Item::GroupEnd => Vec::new(),
        })
    }

    /// Adds the addresses of another field of the same name.
    pub fn append(&mut self, mut other: Self) {
        self.items.append(&mut other.items);
    }

    /// Prints `name: value`, folded, with its newline.
    pub fn to_field(&self, name: &[u8]) -> Vec<u8> {
        let mut out = [name, b":"].concat();
        let mut column = out.len();
        for (at, item) in self.items.iter().enumerate() {
            let mut piece = item.print();
            if self.precedes_comma(at) {
                piece.push(b',');
            }
            let glued = matches!(item, Item::GroupEnd)
                && !matches!(
                    self.items.get(at.wrapping_sub(1)),
                    Some(Item::GroupStart(_))
                );
            let foldable = 0 < at && self.follows_comma(at);
            if foldable && LINE_BYTES_WANTED < column + 1 + piece.len() {
                out.extend_from_slice(b"\n  ");
                column = 2;
            } else if !glued {
                out.push(b' ');
                column += 1;
            }
            column += piece.len();
            out.append(&mut piece);
        }
        out.push(b'\n');
        out
    }

    fn precedes_comma(&self, at: usize) -> bool {
        let next = self.items.get(at + 1);
        if matches!(next, None | Some(Item::GroupEnd | Item::Comment(_))) {
            return false;
        }
        let mut before = self.items[..=at].iter().rev();
        match before.find(|item| !matches!(item, Item::Comment(_))) {
            None | Some(Item::GroupStart(_)) => false,
            Some(Item::GroupEnd) => !matches!(self.items[at], Item::Comment(_)),
            // Without it the address, and the comments between, would be the
            // name of what comes next.
            Some(Item::Address(_) | Item::Comment(_)) => true,
        }
    }

    fn follows_comma(&self, at: usize) -> bool {
        !matches!(self.items[at - 1], Item::GroupStart(_) | Item::Comment(_))
            && !matches!(self.items[at], Item::GroupEnd | Item::Comment(_))
    }
}

impl Item {
    fn print(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Address(mailbox) => mailbox.print(&mut out),
            Self::GroupStart(name) => {
                print_words(name, &mut out);
                out.push(b':');
            }
            Self::GroupEnd => out.push(b';'),
            Self::Comment(raw) => Token::Comment(raw.clone()).print(&mut out),
        }
        out
    }
}

impl Mailbox {
    fn print(&self, out: &mut Vec<u8>) {
        print_words(&self.phrase, out);
        if !out.is_empty() {
            out.push(b' ');
        }
        if self.bracketed {
            out.push(b'<');
        }
        self.address.iter().for_each(|token| token.print(out));
        if self.bracketed {
            out.push(b'>');
        }
        for comment in &self.comments {
            out.push(b' ');
            Token::Comment(comment.clone()).print(out);
        }
    }
}

fn print_words(words: &Words, out: &mut Vec<u8>) {
    let mut word_before = false;
    for (at, (token, space)) in words.iter().enumerate() {
        // Two words that touch would become one.
        if 0 < at && (*space || (word_before && token.is_word())) {
            out.push(b' ');
        }
        word_before = token.is_word();
        token.print(out);
    }
}

struct Parser {
    /// What is still to be read, from its end.
    rest: Words,
    /// What was read, last first.
    items: Vec<Item>,
    /// Comments that belong to what comes next, last first.
    comments: Vec<Vec<u8>>,
    /// How many `;` were read whose `:` is still to come.
    groups_open: usize,
}

impl Parser {
    /// Reads one item or separator; `false` at the beginning of the field.
    fn step(&mut self) -> Result<bool, SyntaxError> {
        let Some((token, _)) = self.rest.last() else {
            return Ok(false);
        };
        match token {
            Token::Comma => {
                self.rest.pop();
                self.flush_comments();
            }
            Token::Comment(_) => self.pop_comment(),
            Token::Semicolon => {
                self.rest.pop();
                self.flush_comments();
                self.items.push(Item::GroupEnd);
                self.groups_open += 1;
            }
            Token::Colon => self.group_name(),
            Token::Right => self.bracketed()?,
            Token::Left => return Err(SyntaxError),
            Token::Atom(_) | Token::Quoted(_) | Token::Literal(_) | Token::Dot | Token::At => {
                self.plain();
            }
        }
        Ok(true)
    }

    fn group_name(&mut self) {
        self.rest.pop();
        self.flush_comments();
        if self.groups_open == 0 {
            // The end was forgotten; the group is the rest of the field.
            self.items.insert(0, Item::GroupEnd);
        }
        self.groups_open = self.groups_open.saturating_sub(1);
        let name = self
            .words_before(|token| !matches!(token, Token::Comma | Token::Semicolon | Token::Right));
        self.items.push(Item::GroupStart(name));
    }

    /// `phrase <address> (comments)`
    fn bracketed(&mut self) -> Result<(), SyntaxError> {
        self.rest.pop();
        let mut comments = std::mem::take(&mut self.comments);
        let mut address = Vec::new();
        loop {
            match self.rest.pop().ok_or(SyntaxError)?.0 {
                Token::Left => break,
                Token::Right => return Err(SyntaxError),
                Token::Comment(raw) => comments.push(raw),
                token => address.push(token),
            }
        }
        address.reverse();
        comments.reverse();
        let phrase = self.words_before(|token| {
            !matches!(
                token,
                Token::Comma | Token::Semicolon | Token::Colon | Token::Right | Token::Left
            )
        });
        self.items.push(Item::Address(Mailbox {
            phrase,
            address,
            bracketed: true,
            comments,
        }));
        Ok(())
    }

    /// `address (comments)`, up to two words with nothing between.
    fn plain(&mut self) {
        let mut comments = std::mem::take(&mut self.comments);
        let mut address: Vec<Token> = Vec::new();
        while let Some((token, _)) = self.rest.last() {
            match token {
                Token::Comment(_) => self.pop_comment(),
                Token::Dot | Token::At => {
                    comments.append(&mut self.comments);
                    address.extend(self.rest.pop().map(|(token, _)| token));
                }
                word if word.is_word() => {
                    if address.last().is_some_and(Token::is_word) {
                        break;
                    }
                    comments.append(&mut self.comments);
                    address.extend(self.rest.pop().map(|(token, _)| token));
                }
                _ => break,
            }
        }
        // Comments before the first word are this address's, unless another
        // address ends right before them.
        if !self.rest.last().is_some_and(|(token, _)| token.is_word()) {
            comments.append(&mut self.comments);
        }
        address.reverse();
        comments.reverse();
        self.items.push(Item::Address(Mailbox {
            phrase: Vec::new(),
            address,
            bracketed: false,
            comments,
        }));
    }

    fn words_before(&mut self, belongs: impl Fn(&Token) -> bool) -> Words {
        let mut words = Vec::new();
        while let Some(word) = self.rest.pop_if(|(token, _)| belongs(token)) {
            words.push(word);
        }
        words.reverse();
        words
    }

    fn pop_comment(&mut self) {
        if let Some((Token::Comment(raw), _)) = self.rest.pop() {
            self.comments.push(raw);
        }
    }

    /// Comments without an address stand alone.
    fn flush_comments(&mut self) {
        self.items
            .extend(self.comments.drain(..).map(Item::Comment));
    }
}

#[cfg(test)]
mod tests;
