//! Commands of RFC 1939 and its extensions.

use std::fmt;

/// Longest command line without its line end, as RFC 2449 §4 asks for (255)
/// and long user names need.
pub const COMMAND_BYTES_MAX: usize = 1024;

/// A command.
#[derive(Clone, Eq, PartialEq)]
pub enum Command {
    /// `AUTH`: which mechanisms are there?
    AuthList,
    /// `AUTH mechanism [initial response]`, still in base64.
    Auth(Vec<u8>, Option<Vec<u8>>),
    /// `CAPA`
    Capa,
    /// `DELE n`
    Dele(u32),
    /// `LIST [n]`
    List(Option<u32>),
    /// `NOOP`
    Noop,
    /// `PASS password`; spaces belong to it.
    Pass(Vec<u8>),
    /// `QUIT`
    Quit,
    /// `RETR n`
    Retr(u32),
    /// `RSET`
    Rset,
    /// `STAT`
    Stat,
    /// `STLS`
    Stls,
    /// `TOP n lines`
    Top(u32, u32),
    /// `UIDL [n]`
    Uidl(Option<u32>),
    /// `USER name`
    User(Vec<u8>),
    /// `UTF8` (RFC 6856)
    Utf8,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SyntaxError {
    /// No command begins like this.
    #[error("unknown command")]
    Unknown,
    /// The command is known, what follows is not.
    #[error("bad argument")]
    Argument,
}

impl Command {
    /// Parses a line without its line end.
    pub fn parse(line: &[u8]) -> Result<Self, SyntaxError> {
        let (keyword, rest) = match line.iter().position(|&byte| byte == b' ') {
            Some(space) => (&line[..space], Some(&line[space + 1..])),
            None => (line, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        match &keyword[..] {
            b"PASS" => {
                let password = rest.filter(|password| !password.is_empty());
                let password = password.ok_or(SyntaxError::Argument)?;
                return Ok(Self::Pass(password.to_vec()));
            }
            b"USER" => return name(rest).map(Self::User),
            _ => {}
        }
        let words: Vec<&[u8]> = rest
            .unwrap_or_default()
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty())
            .collect();
        let command = match (&keyword[..], &words[..]) {
            (b"AUTH", []) => Self::AuthList,
            (b"AUTH", [mechanism]) => Self::Auth(mechanism.to_vec(), None),
            (b"AUTH", [mechanism, initial]) => {
                Self::Auth(mechanism.to_vec(), Some(initial.to_vec()))
            }
            (b"CAPA", []) => Self::Capa,
            (b"DELE", [n]) => Self::Dele(number(n)?),
            (b"LIST", []) => Self::List(None),
            (b"LIST", [n]) => Self::List(Some(number(n)?)),
            (b"NOOP", []) => Self::Noop,
            (b"QUIT", []) => Self::Quit,
            (b"RETR", [n]) => Self::Retr(number(n)?),
            (b"RSET", []) => Self::Rset,
            (b"STAT", []) => Self::Stat,
            (b"STLS", []) => Self::Stls,
            (b"TOP", [n, lines]) => Self::Top(number(n)?, number(lines)?),
            (b"UIDL", []) => Self::Uidl(None),
            (b"UIDL", [n]) => Self::Uidl(Some(number(n)?)),
            (b"UTF8", []) => Self::Utf8,
            (
                b"AUTH" | b"CAPA" | b"DELE" | b"LIST" | b"NOOP" | b"QUIT" | b"RETR" | b"RSET"
                | b"STAT" | b"STLS" | b"TOP" | b"UIDL" | b"UTF8",
                _,
            ) => return Err(SyntaxError::Argument),
            _ => return Err(SyntaxError::Unknown),
        };
        Ok(command)
    }

    /// Prints the command as [`Command::parse`] reads it.
    pub fn to_line(&self) -> Vec<u8> {
        let words = |words: &[&[u8]]| words.join(&b' ');
        match self {
            Self::AuthList => b"AUTH".to_vec(),
            Self::Auth(mechanism, None) => words(&[b"AUTH", mechanism]),
            Self::Auth(mechanism, Some(initial)) => words(&[b"AUTH", mechanism, initial]),
            Self::Capa => b"CAPA".to_vec(),
            Self::Dele(n) => format!("DELE {n}").into_bytes(),
            Self::List(None) => b"LIST".to_vec(),
            Self::List(Some(n)) => format!("LIST {n}").into_bytes(),
            Self::Noop => b"NOOP".to_vec(),
            Self::Pass(password) => words(&[b"PASS", password]),
            Self::Quit => b"QUIT".to_vec(),
            Self::Retr(n) => format!("RETR {n}").into_bytes(),
            Self::Rset => b"RSET".to_vec(),
            Self::Stat => b"STAT".to_vec(),
            Self::Stls => b"STLS".to_vec(),
            Self::Top(n, lines) => format!("TOP {n} {lines}").into_bytes(),
            Self::Uidl(None) => b"UIDL".to_vec(),
            Self::Uidl(Some(n)) => format!("UIDL {n}").into_bytes(),
            Self::User(name) => words(&[b"USER", name]),
            Self::Utf8 => b"UTF8".to_vec(),
        }
    }
}

/// Never prints a password.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(_) => f.write_str("PASS ..."),
            Self::Auth(mechanism, _) => write!(f, "AUTH {}", mechanism.escape_ascii()),
            other => write!(f, "{}", other.to_line().escape_ascii()),
        }
    }
}

fn name(rest: Option<&[u8]>) -> Result<Vec<u8>, SyntaxError> {
    let name = rest.unwrap_or_default().trim_ascii();
    if name.is_empty() || name.iter().any(u8::is_ascii_control) {
        return Err(SyntaxError::Argument);
    }
    Ok(name.to_vec())
}

fn number(word: &[u8]) -> Result<u32, SyntaxError> {
    // `parse` would take a sign.
    let digits = word.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(word).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok())
        .ok_or(SyntaxError::Argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_printed_and_parsed_again() {
        property::holds(|u| {
            let keywords: &[&[u8]] = &[
                b"", b"USER ", b"PASS ", b"LIST ", b"top 1 ", b"UIDL", b"AUTH ", b"RETR ", b"STLS",
            ];
            let line = [u.choose(keywords)?, &property::bytes(u)?[..]].concat();
            if let Ok(command) = Command::parse(&line) {
                assert_eq!(Command::parse(&command.to_line()), Ok(command));
            }
            Ok(())
        });
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(Command::parse(b"retr 7"), Ok(Command::Retr(7)));
        for bad in [
            &b"RETR"[..],
            b"RETR +7",
            b"RETR -1",
            b"RETR 7 8",
            b"RETR 4294967296",
        ] {
            assert_eq!(Command::parse(bad), Err(SyntaxError::Argument));
        }
    }

    #[test]
    fn spaces_belong_to_a_password() {
        let command = Command::parse(b"PASS  two  words ");
        assert_eq!(command, Ok(Command::Pass(b" two  words ".to_vec())));
        assert_eq!(format!("{:?}", command.unwrap()), "PASS ...");
    }
}
