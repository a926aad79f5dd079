//! The delivery that is filtered: for whom, from whom, and how its end is
//! told.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Which program follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// qmail-local.
    Local,
    /// qmail-remote.
    Remote,
}

impl Direction {
    /// The seventh letter of the name says it.
    fn of_name(name: &OsStr) -> Option<Self> {
        let name = name.as_bytes().rsplit(|&b| b == b'/').next()?;
        match name.get(6) {
            Some(b'l') if name.starts_with(b"qmail-") => Some(Self::Local),
            Some(b'r') if name.starts_with(b"qmail-") => Some(Self::Remote),
            _ => None,
        }
    }

    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Local => "qmail-local",
            Self::Remote => "qmail-remote",
        }
    }

    /// What marks it in control files.
    pub fn word(self) -> &'static [u8] {
        match self {
            Self::Local => b"local:",
            Self::Remote => b"remote:",
        }
    }
}

/// What the spawner said.
#[derive(Debug)]
pub struct Delivery {
    pub direction: Direction,
    /// The arguments of the program that follows.
    pub arguments: Vec<Vec<u8>>,
    pub sender: Vec<u8>,
    /// Whole address.
    pub recipient: Vec<u8>,
    pub domain: Vec<u8>,
    /// What is left of the local part when the user is taken away.
    pub ext: Vec<u8>,
    /// Header lines that the program puts on top (QQEH).
    pub extra_headers: Vec<u8>,
}

impl Delivery {
    /// Reads name and arguments of the program.
    pub fn parse(name: &OsStr, arguments: Vec<Vec<u8>>) -> Option<Self> {
        match Direction::of_name(name)? {
            Direction::Local => Self::local(arguments),
            Direction::Remote => Self::remote(arguments),
        }
    }

    /// `[--] user home local dash ext domain sender default [qqeh]`
    fn local(arguments: Vec<Vec<u8>>) -> Option<Self> {
        let options = arguments.iter().take_while(|word| {
            word.len() < 4 && word.starts_with(b"-") && word[1..].iter().all(|b| b"-nN".contains(b))
        });
        let words = &arguments[options.count()..];
        let [_, _, local, _, ext, domain, sender, _, rest @ ..] = words else {
            return None;
        };
        // A virtual domain's name comes before the user (virtualdomains).
        let user = match local.get(..domain.len() + 1) {
            Some(start)
                if start[..domain.len()].eq_ignore_ascii_case(domain) && start.ends_with(b"-") =>
            {
                &local[domain.len() + 1..]
            }
            _ => local,
        };
        Some(Self {
            direction: Direction::Local,
            sender: sender.clone(),
            recipient: [user, b"@", domain].concat(),
            domain: domain.clone(),
            ext: ext.clone(),
            extra_headers: rest.first().cloned().unwrap_or_default(),
            arguments,
        })
    }

    /// `host sender qqeh size recipient...`
    fn remote(arguments: Vec<Vec<u8>>) -> Option<Self> {
        let [host, sender, extra_headers, _, recipient, ..] = &arguments[..] else {
            return None;
        };
        let at = recipient.iter().rposition(|&b| b == b'@');
        Some(Self {
            direction: Direction::Remote,
            sender: sender.clone(),
            recipient: recipient.clone(),
            domain: at.map_or_else(|| host.clone(), |at| recipient[at + 1..].to_vec()),
            ext: recipient[..at.unwrap_or(recipient.len())].to_vec(),
            extra_headers: extra_headers.clone(),
            arguments,
        })
    }

    /// The arguments for a message of another size.
    pub fn arguments_for(&self, bytes: u64) -> Vec<Vec<u8>> {
        let mut arguments = self.arguments.clone();
        if self.direction == Direction::Remote {
            arguments[3] = bytes.to_string().into_bytes();
        }
        arguments
    }
}

/// Why a message goes no further.
#[derive(Debug)]
pub struct Outcome {
    direction: Direction,
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dropped,
    Refused,
    Later,
}

impl Outcome {
    /// It is thrown away, and that is a success.
    pub fn dropped(direction: Direction) -> Self {
        Self {
            direction,
            kind: Kind::Dropped,
            text: String::new(),
        }
    }

    /// It will never be delivered.
    pub fn refused(direction: Direction, text: impl Into<String>) -> Self {
        Self {
            direction,
            kind: Kind::Refused,
            text: text.into(),
        }
    }

    /// Not now.
    pub fn later(direction: Direction, text: impl Into<String>) -> Self {
        Self {
            direction,
            kind: Kind::Later,
            text: text.into(),
        }
    }

    /// Tells the spawner, as the program that would have followed does; the
    /// exit code.
    pub fn report(self) -> u8 {
        let mut line = self.text;
        if !line.is_empty() {
            line.push('\n');
        }
        let (text, code) = match (self.direction, self.kind) {
            (Direction::Local, Kind::Dropped) => (line, 0),
            (Direction::Local, Kind::Refused) => (line, run::PERMANENT),
            (Direction::Local, Kind::Later) => (line, run::TEMPORARY),
            (Direction::Remote, Kind::Dropped) => (format!("r{line}\0K\0"), 0),
            (Direction::Remote, Kind::Refused) => (format!("h{line}\0D\0"), 0),
            (Direction::Remote, Kind::Later) => (format!("s{line}\0Z\0"), 0),
        };
        // When the report cannot be written there is only the exit code.
        let _ = std::io::stdout().write_all(text.as_bytes());
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, line: &str) -> Option<(String, String, String, String)> {
        let words = line.split(' ').map(|word| word.as_bytes().to_vec());
        let found = Delivery::parse(OsStr::new(name), words.collect())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((
            text(&found.recipient),
            text(&found.domain),
            text(&found.ext),
            text(&found.sender),
        ))
    }

    #[test]
    fn arguments_say_who_writes_to_whom() {
        let expect = |a: &str, b: &str, c: &str, d: &str| {
            Some((a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()))
        };
        let local = "-- joe /home/joe joe-list - list host.test ann@x ./Maildir/ QQ";
        assert_eq!(
            parse("/x/qmail-local", local),
            expect("joe-list@host.test", "host.test", "list", "ann@x")
        );
        let hosted = "u /d V.test-Ann - Ann v.test s@x ./M/";
        assert_eq!(
            parse("qmail-local", hosted),
            expect("Ann@v.test", "v.test", "Ann", "s@x")
        );
        let remote = "mx.test s@x  12 a@b.test";
        assert_eq!(
            parse("qmail-remote", remote),
            expect("a@b.test", "b.test", "a", "s@x")
        );
        assert!(parse("spawn-filter", remote).is_none());
        assert!(parse("qmail-remote", "a b").is_none());
        assert!(parse("qmail-local", "a b").is_none());
    }
}
