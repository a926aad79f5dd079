//! Flags: the six system flags of Maildir, and keywords.

/// Keywords a folder can hold.
pub const KEYWORDS_MAX: usize = 64;

/// Longest keyword.
pub const KEYWORD_BYTES_MAX: usize = 64;

/// Keywords that also have a letter in file names, `a` to `z`.
pub(crate) const KEYWORD_LETTERS: usize = 26;

/// System flags, a set of bits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct System(pub u8);

impl System {
    /// `\Draft`, letter `D`.
    pub const DRAFT: Self = Self(1);
    /// `\Flagged`, letter `F`.
    pub const FLAGGED: Self = Self(2);
    /// Passed on (forwarded, bounced), letter `P`; `$Forwarded` of IMAP.
    pub const PASSED: Self = Self(4);
    /// `\Answered`, letter `R`.
    pub const REPLIED: Self = Self(8);
    /// `\Seen`, letter `S`.
    pub const SEEN: Self = Self(16);
    /// `\Deleted`, letter `T`.
    pub const TRASHED: Self = Self(32);

    /// Letters in the order of bits, which is the order of file names too.
    const LETTERS: &[u8; 6] = b"DFPRST";

    /// Says whether every flag of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Flags of both.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Flags that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn of_letter(letter: u8) -> Option<Self> {
        let bit = Self::LETTERS.iter().position(|&l| l == letter)?;
        Some(Self(1 << bit))
    }

    pub(crate) fn letters(self) -> impl Iterator<Item = u8> {
        Self::LETTERS
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, &letter)| letter)
    }
}

impl std::ops::BitOr for System {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// The flags of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// System flags.
    pub system: System,
    /// Bit n: the keyword with number n in the folder's table
    /// ([`crate::Mailbox::keywords`]).
    pub keywords: u64,
}

/// Flags with keywords by name, as a client gives them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlagSet {
    /// System flags.
    pub system: System,
    /// Keywords.
    pub keywords: Vec<String>,
}

impl From<System> for FlagSet {
    fn from(system: System) -> Self {
        Self {
            system,
            keywords: Vec::new(),
        }
    }
}

/// What to do with the flags a client gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlagOperation {
    /// Set them in addition (`+FLAGS`).
    Add,
    /// Take them away (`-FLAGS`).
    Remove,
    /// Set exactly them (`FLAGS`).
    Replace,
}

impl FlagOperation {
    pub(crate) fn apply(self, old: Flags, given: Flags) -> Flags {
        match self {
            Self::Add => Flags {
                system: old.system.union(given.system),
                keywords: old.keywords | given.keywords,
            },
            Self::Remove => Flags {
                system: old.system.without(given.system),
                keywords: old.keywords & !given.keywords,
            },
            Self::Replace => given,
        }
    }
}

/// Says whether this can be a keyword: an atom of RFC 3501, not a system flag.
pub(crate) fn is_keyword(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= KEYWORD_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !br#"(){%*"\]"#.contains(&byte))
}
