//! Words and specials of structured fields (RFC 5322 §3.2).

/// One piece of an address field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Token {
    /// A word without quotes.
    Atom(Vec<u8>),
    /// What stands between quotes, without backslashes.
    Quoted(Vec<u8>),
    /// What stands between square brackets, without backslashes.
    Literal(Vec<u8>),
    /// What stands between parentheses, as it is.
    Comment(Vec<u8>),
    /// `.`
    Dot,
    /// `@`
    At,
    /// `,`
    Comma,
    /// `<`
    Left,
    /// `>`
    Right,
    /// `:`
    Colon,
    /// `;`
    Semicolon,
}

/// A string, literal or comment does not end, or an end stands alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unbalanced quotes, brackets or parentheses")]
pub struct SyntaxError;

/// Cuts the value of a field into tokens; for each whether white space came
/// before it. Folds are undone.
pub fn tokens(value: &[u8]) -> Result<Vec<(Token, bool)>, SyntaxError> {
    let unfolded: Vec<u8> = value
        .iter()
        .filter(|b| !matches!(b, b'\n' | b'\r'))
        .copied()
        .collect();
    let mut rest = unfolded.as_slice();
    let mut found = Vec::new();
    loop {
        let blank = rest.iter().position(|b| !matches!(b, b' ' | b'\t'));
        let skipped = blank.unwrap_or(rest.len());
        rest = &rest[skipped..];
        if rest.is_empty() {
            return Ok(found);
        }
        found.push((take(&mut rest)?, 0 < skipped));
    }
}

fn take(rest: &mut &[u8]) -> Result<Token, SyntaxError> {
    let single = match rest[0] {
        b'.' => Some(Token::Dot),
        b'@' => Some(Token::At),
        b',' => Some(Token::Comma),
        b'<' => Some(Token::Left),
        b'>' => Some(Token::Right),
        b':' => Some(Token::Colon),
        b';' => Some(Token::Semicolon),
        _ => None,
    };
    if let Some(token) = single {
        *rest = &rest[1..];
        return Ok(token);
    }
    match rest[0] {
        b'"' => enclosed(rest, b'"').map(Token::Quoted),
        b'[' => enclosed(rest, b']').map(Token::Literal),
        b'(' => comment(rest).map(Token::Comment),
        b')' | b']' => Err(SyntaxError),
        _ => atom(rest).map(Token::Atom),
    }
}

/// Takes what is before `end`; a backslash quotes the next byte.
fn enclosed(rest: &mut &[u8], end: u8) -> Result<Vec<u8>, SyntaxError> {
    let mut content = Vec::new();
    let mut bytes = rest[1..].iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'\\' => content.push(*bytes.next().ok_or(SyntaxError)?.1),
            byte if byte == end => {
                *rest = &rest[at + 2..];
                return Ok(content);
            }
            byte => content.push(byte),
        }
    }
    Err(SyntaxError)
}

fn comment(rest: &mut &[u8]) -> Result<Vec<u8>, SyntaxError> {
    // A number instead of recursion: a peer chooses the depth.
    let mut depth = 0_usize;
    let mut quoted = false;
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            _ if quoted => quoted = false,
            b'\\' => quoted = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let content = rest[1..at].to_vec();
            *rest = &rest[at + 1..];
            return Ok(content);
        }
    }
    Err(SyntaxError)
}

fn atom(rest: &mut &[u8]) -> Result<Vec<u8>, SyntaxError> {
    let mut content = Vec::new();
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\\' => {
                at += 1;
                content.push(*rest.get(at).ok_or(SyntaxError)?);
            }
            b' ' | b'\t' | b'"' | b'(' | b')' | b'[' | b']' => break,
            b'.' | b',' | b'@' | b'<' | b'>' | b':' | b';' => break,
            byte => content.push(byte),
        }
        at += 1;
    }
    *rest = &rest[at..];
    Ok(content)
}

impl Token {
    /// Says whether it can be part of an address or a phrase on its own.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self, Self::Atom(_) | Self::Quoted(_) | Self::Literal(_))
    }

    /// Appends it as a header shows it.
    pub fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Atom(word) if word.iter().all(|b| is_atom_byte(*b)) && !word.is_empty() => {
                out.extend_from_slice(word);
            }
            Self::Atom(word) | Self::Quoted(word) => escaped(out, b'"', word, b'"', b"\"\\"),
            Self::Literal(word) => escaped(out, b'[', word, b']', b"[]\\"),
            Self::Comment(raw) => escaped(out, b'(', raw, b')', b""),
            Self::Dot => out.push(b'.'),
            Self::At => out.push(b'@'),
            Self::Comma => out.push(b','),
            Self::Left => out.push(b'<'),
            Self::Right => out.push(b'>'),
            Self::Colon => out.push(b':'),
            Self::Semicolon => out.push(b';'),
        }
    }

    /// Appends it as an envelope has it, without quotes.
    pub fn print_raw(&self, out: &mut Vec<u8>) {
        match self {
            Self::Atom(word) | Self::Quoted(word) => out.extend_from_slice(word),
            Self::Literal(word) => {
                out.push(b'[');
                out.extend_from_slice(word);
                out.push(b']');
            }
            Self::Comment(_) => {}
            special => special.print(out),
        }
    }
}

fn escaped(out: &mut Vec<u8>, open: u8, word: &[u8], close: u8, special: &[u8]) {
    out.push(open);
    for &byte in word {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(close);
}

fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()[]\\\"<>,;:.@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        property::holds(|u| {
            let letters = property::bytes(u)?;
            let alphabet = b"ab \"\\()[]<>@.,:;\xc3\n\t";
            let input: Vec<u8> = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()])
                .collect();
            let Ok(first) = tokens(&input) else {
                return Ok(());
            };
            let mut printed = Vec::new();
            for (token, _) in &first {
                token.print(&mut printed);
                printed.push(b' ');
            }
            let again = tokens(&printed).unwrap();
            let raw = |list: &[(Token, bool)]| {
                let mut out = Vec::new();
                for (token, _) in list {
                    token.print_raw(&mut out);
                    out.push(0);
                }
                out
            };
            assert_eq!(raw(&again), raw(&first));
            Ok(())
        });
    }

    #[test]
    fn unbalanced_fields_are_errors() {
        for wrong in ["\"a", "(a", "[a", "a)", "a]", "a\\", "(a\\)"] {
            assert_eq!(tokens(wrong.as_bytes()), Err(SyntaxError), "{wrong}");
        }
    }

    // Attack 19.
    #[test]
    fn deep_comments_cost_nothing() {
        let deep = [vec![b'('; 100_000], vec![b')'; 100_000]].concat();
        assert_eq!(tokens(&deep).unwrap().len(), 1);
    }
}
