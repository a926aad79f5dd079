//! Netstrings that arrive in pieces, one within the other.

use crate::NETSTRING_BYTES_MAX;

/// Digits of [`NETSTRING_BYTES_MAX`].
const DIGITS_MAX: usize = 9;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// What came is no netstring, or none that may stand there.
    Malformed,
    /// A netstring is longer, or there are more of them, than anybody takes.
    TooMuch,
}

/// What has arrived and was not used yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    used: usize,
    /// What is left of the netstring that holds the next ones.
    around: Option<u64>,
}

impl Input {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Goes into a netstring of this length: what follows is in it.
    pub(crate) fn enter(&mut self, length: u64) {
        self.around = Some(length);
    }

    /// Leaves it; its comma follows.
    pub(crate) fn leave(&mut self) {
        self.around = None;
    }

    /// Says whether all of the netstring around was used.
    pub(crate) fn is_at_end(&self) -> bool {
        self.around == Some(0)
    }

    /// Says whether nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// The length of the next netstring, and its colon.
    pub(crate) fn length(&mut self) -> Result<Option<u64>, Fault> {
        let rest = &self.bytes[self.used..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if 1 < digits && rest[0] == b'0' {
            return Err(Fault::Malformed);
        }
        if DIGITS_MAX < digits {
            return Err(Fault::TooMuch);
        }
        let whole = match rest.get(digits) {
            None => digits + 1,
            Some(b':') if digits != 0 => digits + 1,
            Some(_) => return Err(Fault::Malformed),
        };
        if self.around.is_some_and(|left| left < whole as u64) {
            return Err(Fault::Malformed);
        }
        if rest.len() < whole {
            return Ok(None);
        }
        let length = rest[..digits]
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if NETSTRING_BYTES_MAX < length {
            return Err(Fault::TooMuch);
        }
        self.use_up(whole);
        // It has to fit into the one around, with its comma.
        match self.around {
            Some(left) if left <= length => Err(Fault::Malformed),
            _ => Ok(Some(length)),
        }
    }

    /// Takes as much as is there of the `left` bytes of a netstring.
    pub(crate) fn content(&mut self, left: &mut u64) -> &[u8] {
        let here = self.bytes.len() - self.used;
        let length = usize::try_from(*left).map_or(here, |left| left.min(here));
        *left -= length as u64;
        let start = self.used;
        self.use_up(length);
        &self.bytes[start..start + length]
    }

    /// Takes the comma after a netstring; `false` when it has to come yet.
    pub(crate) fn comma(&mut self) -> Result<bool, Fault> {
        match self.bytes.get(self.used) {
            None => Ok(false),
            Some(b',') => {
                self.use_up(1);
                Ok(true)
            }
            Some(_) => Err(Fault::Malformed),
        }
    }

    fn use_up(&mut self, length: usize) {
        self.used += length;
        if let Some(left) = &mut self.around {
            *left = left.saturating_sub(length as u64);
        }
    }
}

/// One address on its way.
#[derive(Debug)]
pub(crate) struct Address {
    left: u64,
    bytes: Vec<u8>,
    is_bad: bool,
}

impl Address {
    /// One of this length; what nobody can have is read and not kept.
    pub(crate) fn new(length: u64) -> Self {
        Self {
            left: length,
            bytes: Vec::new(),
            is_bad: crate::ADDRESS_BYTES_MAX < length,
        }
    }

    /// Takes what is there; `Some` once the address and its comma are
    /// complete, `None` in it for one that nobody can have.
    pub(crate) fn read(&mut self, input: &mut Input) -> Result<Option<Option<Vec<u8>>>, Fault> {
        let piece = input.content(&mut self.left);
        self.is_bad |= piece.contains(&0);
        if !self.is_bad {
            self.bytes.extend_from_slice(piece);
        }
        if self.left != 0 || !input.comma()? {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        Ok(Some((!self.is_bad).then_some(bytes)))
    }
}
