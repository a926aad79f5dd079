//! qmail-send and qmail-todo → qmail-clean (queue-and-delivery.md §4.11).
//!
//! A command is a name and a NUL, the answer one byte.

/// What is to be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// `foop/N`: `intd/N`, then `mess/N`.
    Message(u64),
    /// `todo/N`: `intd/N`, then `todo/N`.
    Todo(u64),
}

/// Longest command with its NUL.
pub const COMMAND_BYTES_MAX: usize = 100;
const COMMAND_BYTES_MIN: usize = 7;

/// The answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// `+`: the files are gone.
    Done,
    /// `!`: a file could not be removed.
    Failed,
    /// `x`: not understood.
    NotUnderstood,
}

impl Command {
    /// The bytes to send. The split element is not sent: qmail-clean knows
    /// how its queue is split.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Message(id) => format!("foop/{id}\0"),
            Self::Todo(id) => format!("todo/{id}\0"),
        }
        .into_bytes()
    }

    /// Reads a command without its NUL; a split element is accepted and
    /// ignored, the path is always rebuilt from the number.
    pub fn parse(name: &[u8]) -> Option<Self> {
        if !(COMMAND_BYTES_MIN..=COMMAND_BYTES_MAX).contains(&(name.len() + 1)) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        let (kind, rest) = name.split_once('/')?;
        let id = rest.rsplit_once('/').map_or(rest, |(split, id)| {
            if split.bytes().all(|b| b.is_ascii_digit()) {
                id
            } else {
                ""
            }
        });
        if !id.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let id = id.parse().ok()?;
        match kind {
            "foop" => Some(Self::Message(id)),
            "todo" => Some(Self::Todo(id)),
            _ => None,
        }
    }
}

impl Answer {
    /// The byte to send.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Done => b'+',
            Self::Failed => b'!',
            Self::NotUnderstood => b'x',
        }
    }

    /// Anything but `+` and `!` counts as not understood.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            b'+' => Self::Done,
            b'!' => Self::Failed,
            _ => Self::NotUnderstood,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_become_paths() {
        assert_eq!(Command::parse(b"foop/42"), Some(Command::Message(42)));
        assert_eq!(Command::parse(b"todo/19/42"), Some(Command::Todo(42)));
        assert_eq!(Command::parse(b"todo/../../42"), None);
        assert_eq!(Command::parse(b"foop/+42"), None);
        assert_eq!(Command::parse(b"mess/42"), None);
        assert_eq!(Command::parse(b"foop/"), None);
    }

    #[test]
    fn a_command_comes_back_as_it_went() {
        let wire = Command::Todo(7).to_bytes();
        assert_eq!(
            Command::parse(&wire[..wire.len() - 1]),
            Some(Command::Todo(7))
        );
    }
}
