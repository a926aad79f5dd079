//! Lines of a message, told apart: header, first line of a part, the rest.

use std::mem;
use std::sync::Arc;

use super::{Content, Hit};

/// As much of a line as is compared.
const LINE_BYTES_MAX: usize = 1024;
/// As much of an unfolded field.
const FIELD_BYTES_MAX: usize = 8 * 1024;
/// Parts within parts that are followed.
const DEPTH_MAX: usize = 20;

/// How the two mail servers of old begin what they return.
const BOUNCES: [&[u8]; 2] = [
    b"Hi. This is the ",
    b"This message was created automatically by mail delivery software",
];

/// A message being looked at, in pieces whose lines end in LF.
#[derive(Debug)]
pub struct Scanner {
    content: Arc<Content>,
    state: State,
    /// The first bytes of the current line.
    line: Vec<u8>,
    /// The current field, unfolded.
    field: Vec<u8>,
    /// Boundaries of the parts we are in, the innermost last.
    boundaries: Vec<Vec<u8>>,
    /// The body of this part is a message.
    is_message: bool,
    is_bounce: bool,
    hit: Option<Hit>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Header,
    First,
    Rest,
}

impl Scanner {
    /// Before the first byte.
    pub fn new(content: Arc<Content>) -> Self {
        Self {
            content,
            state: State::Header,
            line: Vec::new(),
            field: Vec::new(),
            boundaries: Vec::new(),
            is_message: false,
            is_bounce: false,
            hit: None,
        }
    }

    /// Looks at the next piece, until something was found.
    pub fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|&b| b == b'\n') {
            if self.hit.is_some() {
                return;
            }
            let (text, is_complete) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if is_complete {
                self.end_of_line();
            }
        }
    }

    /// What was found in the whole message.
    pub fn finish(mut self) -> Option<Hit> {
        if self.hit.is_none() && !self.line.is_empty() {
            self.end_of_line();
        }
        if self.hit.is_none() {
            self.end_of_field();
        }
        self.hit
    }

    fn end_of_line(&mut self) {
        let line = mem::take(&mut self.line);
        match self.state {
            State::Header => self.header_line(&line),
            State::First | State::Rest => self.body_line(&line),
        }
        // The room is used again.
        self.line = line;
        self.line.clear();
    }

    fn header_line(&mut self, line: &[u8]) {
        if let Some(b' ' | b'\t') = line.first() {
            let room = FIELD_BYTES_MAX - self.field.len();
            self.field.extend_from_slice(&line[..line.len().min(room)]);
            return;
        }
        self.end_of_field();
        if !line.is_empty() {
            self.field.extend_from_slice(line);
            return;
        }
        // A message within the message has a header of its own.
        self.state = match mem::take(&mut self.is_message) {
            true => State::Header,
            false => State::First,
        };
    }

    fn end_of_field(&mut self) {
        let field = mem::take(&mut self.field);
        if field.is_empty() {
            return;
        }
        let mut rules = self.content.bodies.iter().filter(|rule| rule.header);
        if let Some(rule) = rules.find(|rule| rule.regex.is_match(&field)) {
            self.hit = Some(rule.hit.clone());
            return;
        }
        let Some(value) = content_type(&field) else {
            return;
        };
        let value = value.to_vec();
        self.is_message = value
            .trim_ascii_start()
            .get(..14)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"message/rfc822"));
        if let Some(boundary) = boundary(&value)
            && self.boundaries.len() < DEPTH_MAX
        {
            self.boundaries.push(boundary);
        }
    }

    fn body_line(&mut self, line: &[u8]) {
        if let Some(rest) = line.strip_prefix(b"--")
            && self.is_boundary(rest)
        {
            return;
        }
        let content = Arc::clone(&self.content);
        let mut rules = content.bodies.iter().filter(|rule| rule.body);
        if let Some(rule) = rules.find(|rule| rule.regex.is_match(line)) {
            self.hit = Some(rule.hit.clone());
            return;
        }
        match self.state {
            // Blank lines before it hide nothing.
            State::First if line.trim_ascii().is_empty() => {}
            State::First => {
                let mut signatures = content.signatures.iter();
                let found = signatures.find(|signature| line.starts_with(&signature.prefix));
                self.hit = found.map(|signature| signature.hit.clone());
                self.is_bounce |= BOUNCES.iter().any(|words| line.starts_with(words));
                self.state = State::Rest;
            }
            _ if self.is_bounce && line.starts_with(b"---") => self.state = State::Header,
            _ => {}
        }
    }

    /// A line that parts parts, of this or of an outer one.
    fn is_boundary(&mut self, rest: &[u8]) -> bool {
        let found = self
            .boundaries
            .iter()
            .rposition(|boundary| rest.starts_with(boundary));
        let Some(at) = found else {
            return false;
        };
        let is_last = rest[self.boundaries[at].len()..].starts_with(b"--");
        let kept = if is_last { at } else { at + 1 };
        self.boundaries.truncate(kept);
        self.state = if is_last { State::Rest } else { State::Header };
        true
    }
}

fn content_type(field: &[u8]) -> Option<&[u8]> {
    let colon = field.iter().position(|&b| b == b':')?;
    field[..colon]
        .trim_ascii()
        .eq_ignore_ascii_case(b"content-type")
        .then(|| &field[colon + 1..])
}

/// The parameter, quoted or bare.
fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"boundary=";
    let at = value
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME))?;
    let rest = &value[at + NAME.len()..];
    let text = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|&b| b == b'"').next(),
        None => rest.split(|b| b";, \t".contains(b)).next(),
    };
    text.filter(|text| !text.is_empty()).map(<[u8]>::to_vec)
}
