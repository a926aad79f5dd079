//! Nobody but us says what we found out: fields `Authentication-Results` that
//! name us are taken out of what strangers send (RFC 8601 §5).

/// Longest line that is looked at as a whole; a longer one is no field of
/// ours.
const LINE_BYTES_MAX: usize = 2000;

/// The filter, over a message that comes in pieces.
#[derive(Debug)]
pub(super) struct ForgedResults {
    host: Vec<u8>,
    /// A line that is not complete yet.
    held: Vec<u8>,
    /// The first line of a field that is not decided on.
    begun: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Another field, or none yet.
    Other,
    /// A field of results whose text has not begun: the name of its author
    /// may stand on the next line.
    Undecided,
    /// A field that is taken out.
    Forged,
    /// Within a line that is too long to be looked at.
    Long,
    /// The body.
    Body,
}

impl ForgedResults {
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: host.to_ascii_lowercase().into_bytes(),
            held: Vec::new(),
            begun: Vec::new(),
            state: State::Other,
        }
    }

    /// The next piece without forged fields; lines end in LF.
    pub(super) fn without(&mut self, piece: Vec<u8>) -> Vec<u8> {
        if self.state == State::Body {
            return piece;
        }
        let mut out = Vec::with_capacity(piece.len());
        for part in piece.split_inclusive(|&b| b == b'\n') {
            if self.state == State::Body {
                out.extend_from_slice(part);
                continue;
            }
            self.held.extend_from_slice(part);
            let is_complete = part.ends_with(b"\n");
            if is_complete || LINE_BYTES_MAX < self.held.len() {
                self.line(is_complete, &mut out);
            }
        }
        out
    }

    /// What was held back at the end of the message.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.held.is_empty() {
            self.line(true, &mut out);
        }
        out.append(&mut self.begun);
        out
    }

    fn line(&mut self, is_complete: bool, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.held);
        self.state = match self.state {
            State::Long => State::Long,
            _ if line.is_empty() || line == b"\n" => State::Body,
            state if matches!(line[0], b' ' | b'\t') => match state {
                State::Undecided => self.judge(&line),
                state => state,
            },
            _ => match results_of(&line) {
                Some(text) => self.judge(text),
                None => State::Other,
            },
        };
        match self.state {
            State::Forged => self.begun.clear(),
            State::Undecided => self.begun.extend_from_slice(&line),
            _ => {
                out.append(&mut self.begun);
                out.extend_from_slice(&line);
            }
        }
        self.state = match (self.state, is_complete) {
            (State::Other, false) => State::Long,
            (State::Long, true) => State::Other,
            (state, _) => state,
        };
    }

    /// Whoever mentions us where the author stands is taken to mean us.
    fn judge(&self, text: &[u8]) -> State {
        if text.trim_ascii().is_empty() {
            return State::Undecided;
        }
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let mut words = text.split(|b| !is_name(b));
        match words.any(|word| word.eq_ignore_ascii_case(&self.host)) {
            true => State::Forged,
            false => State::Other,
        }
    }
}

/// What stands after the name of the field, when it is this one.
fn results_of(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name = line[..colon].trim_ascii_end();
    name.eq_ignore_ascii_case(b"Authentication-Results")
        .then(|| &line[colon + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pieces: &[&[u8]]) -> String {
        let mut forged = ForgedResults::new("mx.test");
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(forged.without(piece.to_vec()));
        }
        out.extend(forged.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_bears_our_name_goes() {
        let message = "Authentication-Results: MX.test; spf=pass\n\tx=y\nFrom: a\n\
            authentication-results :\n (a) mx.test; dkim=pass\n\
            Authentication-Results:\n other.test; spf=pass\n more\n\n\
            Authentication-Results: mx.test; body\n";
        assert_eq!(
            filter(&[message.as_bytes()]),
            "From: a\nAuthentication-Results:\n other.test; spf=pass\n more\n\n\
             Authentication-Results: mx.test; body\n"
        );
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        let message = b"A: b\nAuthentication-Results:\n mx.test; x\n y\nC: d\n\nAuthentication";
        property::holds(|u| {
            let (head, tail) = message.split_at(u.int_in_range(0..=message.len())?);
            assert_eq!(filter(&[head, tail]), filter(&[message]));
            assert_eq!(filter(&[message]), "A: b\nC: d\n\nAuthentication");
            Ok(())
        });
    }

    #[test]
    fn a_long_line_stays_whole() {
        let long = "X: ".to_owned() + &"y".repeat(10_000) + "\n\nbody\n";
        assert_eq!(filter(&[long.as_bytes()]), long);
    }
}
