//! Which bytes a text has, as MIME wants to know it.

/// Which bytes a part has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Charset {
    /// ASCII alone.
    #[default]
    Ascii,
    /// UTF-8.
    Utf8,
    /// Nobody knows (RFC 1428).
    Unknown,
}

impl Charset {
    /// Looks at a text.
    pub fn of(text: &[u8]) -> Self {
        match std::str::from_utf8(text) {
            Ok(text) if text.is_ascii() => Self::Ascii,
            Ok(_) => Self::Utf8,
            Err(_) => Self::Unknown,
        }
    }

    /// The charset of both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ascii, other) => other,
            (this, Self::Ascii) => this,
            (Self::Utf8, Self::Utf8) => Self::Utf8,
            _ => Self::Unknown,
        }
    }
}
