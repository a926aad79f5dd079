//! qmail-todo ↔ qmail-send (queue-and-delivery.md §4.2).

/// Which channels have recipients of a new message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channels {
    /// `L`.
    Local,
    /// `R`.
    Remote,
    /// `B`.
    Both,
    /// `X`: no recipients.
    Neither,
}

/// From qmail-todo; on the wire each ends in NUL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A message is preprocessed: `D`, the channel letter, the number.
    New {
        /// Where it has recipients.
        channels: Channels,
        /// Its number.
        id: u64,
    },
    /// A line for the log: `L` and the text with its newline.
    Log(Vec<u8>),
    /// qmail-todo exits: `X`.
    Exiting,
}

/// From qmail-send, one byte each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// `C` (or the older `S`): start.
    Start,
    /// `H`: read the control files again.
    Reread,
    /// `X`: quit when nothing is half done.
    Exit,
}

impl Order {
    /// The byte to send.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Start => b'C',
            Self::Reread => b'H',
            Self::Exit => b'X',
        }
    }

    /// `None` for an obscure dialect.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'C' | b'S' => Some(Self::Start),
            b'H' => Some(Self::Reread),
            b'X' => Some(Self::Exit),
            _ => None,
        }
    }
}

/// Appends one message.
pub fn append(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::New { channels, id } => {
            let letter = match channels {
                Channels::Local => 'L',
                Channels::Remote => 'R',
                Channels::Both => 'B',
                Channels::Neither => 'X',
            };
            out.extend_from_slice(format!("D{letter}{id}").as_bytes());
        }
        Message::Log(text) => {
            out.push(b'L');
            out.extend(text.iter().filter(|&&b| b != 0));
        }
        Message::Exiting => out.push(b'X'),
    }
    out.push(0);
}

/// Takes one message from the start of `input`, with the bytes it used; the
/// message is `None` when it makes no sense and is to be skipped.
pub fn take(input: &[u8]) -> Option<(Option<Message>, usize)> {
    let end = input.iter().position(|&b| b == 0)?;
    let message = match &input[..end] {
        [b'D', letter, digits @ ..] => parse_new(*letter, digits),
        [b'L', text @ ..] => Some(Message::Log(text.to_vec())),
        [b'X'] => Some(Message::Exiting),
        _ => None,
    };
    Some((message, end + 1))
}

fn parse_new(letter: u8, digits: &[u8]) -> Option<Message> {
    let channels = match letter {
        b'L' => Channels::Local,
        b'R' => Channels::Remote,
        b'B' => Channels::Both,
        b'X' => Channels::Neither,
        _ => return None,
    };
    let id = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Message::New { channels, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        for message in [
            Message::New {
                channels: Channels::Both,
                id: 42,
            },
            Message::Log(b"new msg 42\n".to_vec()),
            Message::Exiting,
        ] {
            let mut wire = Vec::new();
            append(&mut wire, &message);
            assert_eq!(take(&wire), Some((Some(message), wire.len())));
        }
        assert_eq!(take(b"Dx7\0"), Some((None, 4)));
        assert_eq!(take(b"DL7"), None);
    }
}
