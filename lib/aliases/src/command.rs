//! Commands of a forwarding table (queue-and-delivery.md §6.10).

/// Longest address a table forwards to.
pub const ADDRESS_BYTES_MAX: usize = 900;

/// What one entry asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// Run with `/bin/sh -c` on the message.
    Program(&'a [u8]),
    /// The same, with the lines of preline(1) in front of the message.
    Preline(&'a [u8]),
    /// Continue with the members in this compiled list; the path starts with
    /// `.` or `/`.
    List(&'a [u8]),
    /// Send on to this address.
    Forward(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Reads one entry; `None` when it is empty or begins with none of the
    /// signs.
    pub fn parse(entry: &'a [u8]) -> Option<Self> {
        match entry {
            [b'|', command @ ..] => Some(Self::Program(command)),
            [b'!', command @ ..] => Some(Self::Preline(command)),
            [b'.' | b'/', ..] => Some(Self::List(entry)),
            [b'&', address @ ..] => Some(Self::Forward(address)),
            _ => None,
        }
    }

    /// The entry with its sign.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Program(command) => [b"|", command].concat(),
            Self::Preline(command) => [b"!", command].concat(),
            Self::List(path) => path.to_vec(),
            Self::Forward(address) => [b"&", address].concat(),
        }
    }
}

/// The entries of a value or of a compiled list: each ends in a NUL. What is
/// none is `None`. A NUL missing at the end does not matter.
pub fn commands(value: &[u8]) -> impl Iterator<Item = Option<Command<'_>>> {
    let value = value.strip_suffix(b"\0").unwrap_or(value);
    let entries = (!value.is_empty()).then(|| value.split(|&b| b == 0));
    entries.into_iter().flatten().map(Command::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_row_of_signed_entries() {
        let value = b"&ann@x\0|prog a\0!prog b\0./list.bin\0/l.bin\0";
        let expected = [
            Command::Forward(b"ann@x"),
            Command::Program(b"prog a"),
            Command::Preline(b"prog b"),
            Command::List(b"./list.bin"),
            Command::List(b"/l.bin"),
        ];
        assert!(commands(value).eq(expected.map(Some)));
        assert_eq!(commands(b"").count(), 0);
        assert!(commands(b"ann@x\0").eq([None]));
        assert!(commands(b"&a\0\0&b\0").any(|command| command.is_none()));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        property::holds(|u| {
            let entry = property::bytes(u)?;
            if let Some(command) = Command::parse(&entry) {
                assert_eq!(command.to_bytes(), entry);
            }
            Ok(())
        });
    }
}
