//! Dropping fields of a header that arrives in pieces.

/// Longest field name that is looked at; a longer one is kept.
const NAME_BYTES_MAX: usize = 998;

/// Passes a message on without some fields of its header.
#[derive(Debug)]
pub struct Filter {
    dropped: Vec<String>,
    /// The start of a line, until its name is complete.
    name: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// At the start of a line; the field before it was kept or dropped.
    LineStart(Fate),
    /// Inside a name.
    Name,
    /// Behind the name, up to the newline.
    Rest(Fate),
    Body,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Kept,
    Dropped,
}

impl Filter {
    /// Drops these fields, by their whole names, in any case, with their
    /// continuation lines.
    pub fn new(dropped: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let dropped: Vec<String> = dropped.into_iter().map(Into::into).collect();
        let state = match dropped.is_empty() {
            true => State::Body,
            false => State::LineStart(Fate::Kept),
        };
        Self {
            dropped,
            name: Vec::new(),
            state,
        }
    }

    /// Takes the next piece, and gives what stays of it to `keep`, in order.
    pub fn push<E>(
        &mut self,
        mut piece: &[u8],
        mut keep: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !piece.is_empty() {
            match self.state {
                State::Body => return keep(piece),
                State::LineStart(before) => {
                    self.state = match piece[0] {
                        b' ' | b'\t' => State::Rest(before),
                        b'\n' => State::Body,
                        _ => State::Name,
                    };
                }
                State::Name => {
                    let end = piece.iter().position(|b| matches!(b, b':' | b'\n'));
                    let (part, rest) = piece.split_at(end.unwrap_or(piece.len()));
                    self.name.extend_from_slice(part);
                    piece = rest;
                    if end.is_some() || NAME_BYTES_MAX < self.name.len() {
                        let fate = self.decide(rest.first() == Some(&b':'));
                        let name = std::mem::take(&mut self.name);
                        self.state = State::Rest(fate);
                        if fate == Fate::Kept {
                            keep(&name)?;
                        }
                    }
                }
                State::Rest(fate) => {
                    let newline = memchr::memchr(b'\n', piece);
                    let (part, rest) = piece.split_at(newline.map_or(piece.len(), |at| at + 1));
                    if newline.is_some() {
                        self.state = State::LineStart(fate);
                    }
                    piece = rest;
                    if fate == Fate::Kept {
                        keep(part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The end of the message: gives what was still undecided to `keep`.
    pub fn finish<E>(self, mut keep: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.name.is_empty() {
            Ok(())
        } else {
            keep(&self.name)
        }
    }

    fn decide(&self, is_field: bool) -> Fate {
        let name = self.name.trim_ascii_end();
        let is_listed = |listed: &String| listed.as_bytes().eq_ignore_ascii_case(name);
        match is_field && self.dropped.iter().any(is_listed) {
            true => Fate::Dropped,
            false => Fate::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(dropped: &[&str], pieces: &[&[u8]]) -> Vec<u8> {
        let mut filter = Filter::new(dropped.iter().copied());
        let mut out = Vec::new();
        let mut keep = |part: &[u8]| {
            out.extend_from_slice(part);
            Ok::<(), ()>(())
        };
        pieces
            .iter()
            .for_each(|piece| filter.push(piece, &mut keep).unwrap());
        filter.finish(&mut keep).unwrap();
        out
    }

    #[test]
    fn whole_names_are_dropped_with_their_continuations_wherever_the_bytes_are_cut() {
        let message = b"To: a\n b\nTopic: x\nTO : c\nSubject: s\n\nTo: body\n";
        let expected = b"Topic: x\nSubject: s\n\nTo: body\n";
        for cut in 0..=message.len() {
            let (head, tail) = message.split_at(cut);
            assert_eq!(filter(&["to"], &[head, tail]), expected);
        }
    }

    #[test]
    fn nothing_else_is_changed() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let message: Vec<u8> = letters
                .iter()
                .map(|b| b"a: \n\tb"[usize::from(b % 6)])
                .collect();
            let pieces: Vec<&[u8]> = message.chunks(3).collect();
            assert_eq!(filter(&["not there"], &pieces), message);
            Ok(())
        });
    }
}
