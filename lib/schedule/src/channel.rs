//! The two ways a recipient can be reached.

use std::fmt;

/// Local recipients go to qmail-lspawn, remote ones to qmail-rspawn.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Channel {
    /// Channel 0.
    Local,
    /// Channel 1.
    Remote,
}

impl Channel {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Local, Self::Remote];

    /// Its number.
    pub fn index(self) -> usize {
        match self {
            Self::Local => 0,
            Self::Remote => 1,
        }
    }

    /// Its name, which is also the name of its directory in the queue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
