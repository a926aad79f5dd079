//! Message flags: the five of RFC 3501 §2.3.2, and keywords.

/// Longest keyword.
pub const KEYWORD_BYTES_MAX: usize = 64;
/// Most keywords a message or a STORE may have.
pub const KEYWORDS_MAX: usize = 32;

/// A system flag that is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Seen`
    Seen = 1,
    /// `\Answered`
    Answered = 2,
    /// `\Flagged`
    Flagged = 4,
    /// `\Deleted`
    Deleted = 8,
    /// `\Draft`
    Draft = 16,
}

impl SystemFlag {
    /// All of them, in the order we print them.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Flagged,
        Self::Deleted,
        Self::Seen,
        Self::Draft,
    ];

    /// As the RFC writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
        }
    }
}

/// The flags of a message, without `\Recent`, which belongs to a session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    system: u8,
    keywords: Vec<String>,
}

impl Flags {
    /// Adds what a client wrote: a system flag or a keyword. `false` for a
    /// flag nobody may set (`\Recent`) or a keyword beyond the limits.
    pub fn add_name(&mut self, name: &[u8]) -> bool {
        if name.first() == Some(&b'\\') {
            let known = SystemFlag::ALL
                .into_iter()
                .find(|flag| flag.name().as_bytes().eq_ignore_ascii_case(name));
            known.map(|flag| self.set(flag)).is_some()
        } else {
            match std::str::from_utf8(name) {
                Ok(name) => self.add_keyword(name),
                Err(_) => false,
            }
        }
    }

    /// Sets a system flag.
    pub fn set(&mut self, flag: SystemFlag) {
        self.system |= flag as u8;
    }

    /// Adds a keyword; `false` when it is no atom or beyond the limits.
    pub fn add_keyword(&mut self, keyword: &str) -> bool {
        let fine = !keyword.is_empty()
            && keyword.len() <= KEYWORD_BYTES_MAX
            && keyword.bytes().all(crate::parse::is_atom_byte);
        if !fine {
            return false;
        }
        let same = |known: &String| known.eq_ignore_ascii_case(keyword);
        if !self.keywords.iter().any(same) {
            if self.keywords.len() == KEYWORDS_MAX {
                return false;
            }
            self.keywords.push(keyword.to_owned());
            self.keywords.sort_unstable();
        }
        true
    }

    /// Adds all of `other`; keywords beyond the limit are left out.
    pub fn add(&mut self, other: &Self) {
        self.system |= other.system;
        for keyword in &other.keywords {
            self.add_keyword(keyword);
        }
    }

    /// Takes all of `other` away.
    pub fn remove(&mut self, other: &Self) {
        self.system &= !other.system;
        self.keywords.retain(|keyword| !other.has_keyword(keyword));
    }

    /// Says whether a system flag is set.
    pub fn has(&self, flag: SystemFlag) -> bool {
        self.system & flag as u8 != 0
    }

    /// Says whether a keyword is set; case does not matter.
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.keywords
            .iter()
            .any(|known| known.eq_ignore_ascii_case(keyword))
    }

    /// The keywords in order.
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// `(\Seen $Label)`, with `\Recent` if the session says so.
    pub fn print(&self, recent: bool) -> String {
        let system = SystemFlag::ALL
            .into_iter()
            .filter(|&flag| self.has(flag))
            .map(|flag| flag.name());
        let keywords = self.keywords.iter().map(|keyword| keyword.as_str());
        let recent = recent.then_some("\\Recent").into_iter();
        let names: Vec<&str> = recent.chain(system).chain(keywords).collect();
        format!("({})", names.join(" "))
    }
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

impl Change {
    /// Applies the change.
    pub fn apply(self, flags: &mut Flags, by: &Flags) {
        match self {
            Self::Replace => *flags = by.clone(),
            Self::Add => flags.add(by),
            Self::Remove => flags.remove(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_any_case_and_printed_in_ours() {
        let mut flags = Flags::default();
        assert!(flags.add_name(b"\\SEEN") && flags.add_name(b"$Junk") && flags.add_name(b"$junk"));
        assert_eq!(flags.print(true), "(\\Recent \\Seen $Junk)");
        assert!(!flags.add_name(b"\\Recent") && !flags.add_name(b"a(b") && !flags.add_name(b""));
        let mut by = Flags::default();
        by.add_name(b"$JUNK");
        Change::Remove.apply(&mut flags, &by);
        assert_eq!(flags.print(false), "(\\Seen)");
    }
}
