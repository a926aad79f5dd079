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

/// A message with one recipient, whose files are not written: it is tried
/// first, and most are delivered then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Single {
    /// Its number.
    pub id: u64,
    /// The recipient is remote.
    pub is_remote: bool,
    /// Unix time at which it was queued.
    pub birth: i64,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Header lines put on top at delivery.
    pub extra_headers: Vec<u8>,
    /// Header lines that become variables.
    pub env_headers: Vec<u8>,
    /// The recipient, rewritten.
    pub recipient: Vec<u8>,
}

/// From qmail-todo; on the wire each ends in NUL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A message is preprocessed: `D`, the channel letter, the number, and
    /// a space and when it is due, if that is not now.
    New {
        /// Where it has recipients.
        channels: Channels,
        /// Its number.
        id: u64,
        /// Unix time of its next try.
        due: Option<i64>,
    },
    /// A message waits in `todo`, known in full: `T`, the channel letter, and
    /// its fields, each ending in NUL.
    Single(Single),
    /// A line for the log: `L` and the text with its newline.
    Log(Vec<u8>),
    /// qmail-todo exits: `X`.
    Exiting,
}

/// From qmail-send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// `C` (or the older `S`): start.
    Start,
    /// `H`: read the control files again.
    Reread,
    /// `X`: quit when nothing is half done.
    Exit,
    /// `D`: new messages are not started for now; preprocess them all.
    Detach,
    /// `A`: they are started again.
    Attach,
    /// `E`, the number, NUL: a single message was delivered and its envelope
    /// is gone.
    Ended(u64),
    /// `P`, number, due time, `1` or `0`, NUL: a single message could not be
    /// delivered at once; preprocess it.
    PutBack(PutBack),
}

/// What becomes of a single message after its first try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PutBack {
    /// Its number.
    pub id: u64,
    /// Unix time of its next try.
    pub due: i64,
    /// Its recipient has failed: it has none left, but it has a bounce.
    pub is_done: bool,
}

impl Order {
    /// Appends the order.
    pub fn append(self, out: &mut Vec<u8>) {
        match self {
            Self::Start => out.push(b'C'),
            Self::Reread => out.push(b'H'),
            Self::Exit => out.push(b'X'),
            Self::Detach => out.push(b'D'),
            Self::Attach => out.push(b'A'),
            Self::Ended(id) => out.extend_from_slice(format!("E{id}\0").as_bytes()),
            Self::PutBack(PutBack { id, due, is_done }) => {
                let done = u8::from(is_done);
                out.extend_from_slice(format!("P{id} {due} {done}\0").as_bytes());
            }
        }
    }

    /// Takes one order from the start of `input`, with the bytes it used; the
    /// order is `None` for an obscure dialect.
    pub fn take(input: &[u8]) -> Option<(Option<Self>, usize)> {
        let first = input.first()?;
        let simple = match first {
            b'C' | b'S' => Some(Self::Start),
            b'H' => Some(Self::Reread),
            b'X' => Some(Self::Exit),
            b'D' => Some(Self::Detach),
            b'A' => Some(Self::Attach),
            b'E' | b'P' => {
                let end = input.iter().position(|&b| b == 0)?;
                return Some((Self::parse_long(*first, &input[1..end]), end + 1));
            }
            _ => None,
        };
        Some((simple, 1))
    }

    fn parse_long(letter: u8, rest: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(rest).ok()?;
        if letter == b'E' {
            return Some(Self::Ended(text.parse().ok()?));
        }
        let mut fields = text.split(' ');
        let put_back = PutBack {
            id: fields.next()?.parse().ok()?,
            due: fields.next()?.parse().ok()?,
            is_done: fields.next()? == "1",
        };
        Some(Self::PutBack(put_back))
    }
}

/// Appends one message.
pub fn append(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::New { channels, id, due } => {
            let letter = match channels {
                Channels::Local => 'L',
                Channels::Remote => 'R',
                Channels::Both => 'B',
                Channels::Neither => 'X',
            };
            out.extend_from_slice(format!("D{letter}{id}").as_bytes());
            if let Some(due) = due {
                out.extend_from_slice(format!(" {due}").as_bytes());
            }
        }
        Message::Single(single) => {
            let letter = if single.is_remote { 'R' } else { 'L' };
            let Single { id, birth, .. } = single;
            out.extend_from_slice(format!("T{letter}{id} {birth}").as_bytes());
            for field in [
                &single.sender,
                &single.extra_headers,
                &single.env_headers,
                &single.recipient,
            ] {
                out.push(0);
                out.extend_from_slice(field);
            }
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
        [b'D', letter, rest @ ..] => parse_new(*letter, rest),
        [b'T', letter, rest @ ..] => return take_single(*letter, rest, &input[end + 1..], end + 1),
        [b'L', text @ ..] => Some(Message::Log(text.to_vec())),
        [b'X'] => Some(Message::Exiting),
        _ => None,
    };
    Some((message, end + 1))
}

fn parse_new(letter: u8, rest: &[u8]) -> Option<Message> {
    let channels = match letter {
        b'L' => Channels::Local,
        b'R' => Channels::Remote,
        b'B' => Channels::Both,
        b'X' => Channels::Neither,
        _ => return None,
    };
    let text = std::str::from_utf8(rest).ok()?;
    let (id, due) = match text.split_once(' ') {
        Some((id, due)) => (id, Some(due.parse().ok()?)),
        None => (text, None),
    };
    let id = id.parse().ok()?;
    Some(Message::New { channels, id, due })
}

fn take_single(
    letter: u8,
    first: &[u8],
    mut rest: &[u8],
    mut used: usize,
) -> Option<(Option<Message>, usize)> {
    let mut fields: [&[u8]; 4] = [&[]; 4];
    for field in &mut fields {
        let end = rest.iter().position(|&b| b == 0)?;
        (*field, rest) = (&rest[..end], &rest[end + 1..]);
        used += end + 1;
    }
    let numbers = || {
        let (id, birth) = std::str::from_utf8(first).ok()?.split_once(' ')?;
        Some((id.parse().ok()?, birth.parse().ok()?))
    };
    let [sender, extra_headers, env_headers, recipient] = fields.map(<[u8]>::to_vec);
    let message = numbers().map(|(id, birth)| {
        Message::Single(Single {
            id,
            is_remote: letter == b'R',
            birth,
            sender,
            extra_headers,
            env_headers,
            recipient,
        })
    });
    Some((message, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        let new = |due| Message::New {
            channels: Channels::Both,
            id: 42,
            due,
        };
        let single = Single {
            id: 7,
            is_remote: true,
            birth: 1_700_000_000,
            sender: Vec::new(),
            extra_headers: b"X-A: 1\n".to_vec(),
            env_headers: Vec::new(),
            recipient: b"ann@example.org".to_vec(),
        };
        for message in [
            new(None),
            new(Some(-5)),
            Message::Single(single),
            Message::Log(b"new msg 42\n".to_vec()),
            Message::Exiting,
        ] {
            let mut wire = Vec::new();
            append(&mut wire, &message);
            let whole = wire.len();
            assert_eq!(take(&wire[..whole - 1]), None);
            assert_eq!(take(&wire), Some((Some(message), whole)));
        }
        assert_eq!(take(b"Dx7\0"), Some((None, 4)));
        assert_eq!(take(b"DL7"), None);
        assert_eq!(take(b"TLx\0\0\0\0\0"), Some((None, 8)));
    }

    #[test]
    fn orders_come_back_as_they_went() {
        let put_back = PutBack {
            id: 3,
            due: 1_700_000_400,
            is_done: true,
        };
        for order in [
            Order::Start,
            Order::Reread,
            Order::Exit,
            Order::Detach,
            Order::Attach,
            Order::Ended(12),
            Order::PutBack(put_back),
        ] {
            let mut wire = Vec::new();
            order.append(&mut wire);
            assert_eq!(Order::take(&wire), Some((Some(order), wire.len())));
        }
        assert_eq!(Order::take(b"?"), Some((None, 1)));
        assert_eq!(Order::take(b"Ex\0"), Some((None, 3)));
        assert_eq!(Order::take(b"P3 4"), None);
    }
}
