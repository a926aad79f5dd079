//! What the rules say of a message while it flows by.

use std::sync::Arc;

use message::parts::{Piece, Then, Walk};

use super::{Content, Hit};

/// How the two mail servers of old begin what they return.
const BOUNCES: [&[u8]; 2] = [
    b"Hi. This is the ",
    b"This message was created automatically by mail delivery software",
];

/// A message being looked at, in pieces whose lines end in LF.
#[derive(Debug)]
pub struct Scanner {
    walk: Walk,
    seen: Seen,
}

#[derive(Debug)]
struct Seen {
    content: Arc<Content>,
    /// What a server of old returns: after a line of dashes comes a message.
    is_bounce: bool,
    hit: Option<Hit>,
}

impl Scanner {
    /// Before the first byte.
    pub fn new(content: Arc<Content>) -> Self {
        Self {
            walk: Walk::default(),
            seen: Seen {
                content,
                is_bounce: false,
                hit: None,
            },
        }
    }

    /// Looks at the next bytes, until something was found.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { walk, seen } = self;
        walk.push(bytes, |piece| seen.look(piece));
    }

    /// What was found in the whole message.
    pub fn finish(self) -> Option<Hit> {
        let Self { walk, mut seen } = self;
        walk.finish(|piece| seen.look(piece));
        seen.hit
    }
}

impl Seen {
    fn look(&mut self, piece: Piece<'_>) -> Then {
        let mut rules = self.content.bodies.iter();
        let rule = match piece {
            Piece::Field(field) => rules.find(|rule| rule.header && rule.regex.is_match(field)),
            Piece::First(line) | Piece::Line(line) => {
                rules.find(|rule| rule.body && rule.regex.is_match(line))
            }
        };
        self.hit = rule.map(|rule| rule.hit.clone());
        match piece {
            Piece::First(line) if self.hit.is_none() => {
                let mut signatures = self.content.signatures.iter();
                let found = signatures.find(|signature| line.starts_with(&signature.prefix));
                self.hit = found.map(|signature| signature.hit.clone());
                self.is_bounce |= BOUNCES.iter().any(|words| line.starts_with(words));
            }
            Piece::Line(line) if self.is_bounce && line.starts_with(b"---") => {
                return self.stop_or(Then::Header);
            }
            _ => {}
        }
        self.stop_or(Then::On)
    }

    fn stop_or(&self, then: Then) -> Then {
        match self.hit {
            Some(_) => Then::Stop,
            None => then,
        }
    }
}
