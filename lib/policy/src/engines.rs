//! `VIRUSCHECK`: who looks at a message (smtp-receiving.md §2.14).

/// Who looks. The numbers are those of every shipped release, which existing
/// services were written against; the guide numbers them otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Engines {
    /// qmail-smtpd, for the beginnings of parts (`signatures`).
    pub internal: bool,
    /// The scanner of `SCANCMD`.
    pub external: bool,
    /// qscanq, at the names of attachments (`badext`).
    pub names: bool,
}

impl Engines {
    /// Reads the variable: a number, or the words `internal`, `external` and
    /// `attach` with commas between them. Anything else is nobody.
    pub fn of(value: Option<&[u8]>) -> Self {
        let (internal, external, names) = match value {
            None => (false, false, false),
            Some(b"" | b"1") => (true, false, false),
            Some(b"2") => (true, true, false),
            Some(b"3") => (true, false, true),
            Some(b"4") => (true, true, true),
            Some(b"5") => (false, true, true),
            Some(b"6") => (false, true, false),
            Some(b"7") => (false, false, true),
            Some(words) => {
                let words = words.split(|&b| b == b',').map(<[u8]>::trim_ascii);
                let has = |word: &[u8]| words.clone().any(|known| known == word);
                (has(b"internal"), has(b"external"), has(b"attach"))
            }
        };
        Self {
            internal,
            external,
            names,
        }
    }

    /// Says whether a program in front of the queue has something to do.
    pub fn outside(self) -> bool {
        self.external || self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_shipped_releases() {
        let of = |text: &str| {
            let found = Engines::of(Some(text.as_bytes()));
            (found.internal, found.external, found.names)
        };
        assert_eq!(Engines::of(None), Engines::default());
        for (value, expected) in [
            ("", (true, false, false)),
            ("1", (true, false, false)),
            ("2", (true, true, false)),
            ("3", (true, false, true)),
            ("4", (true, true, true)),
            ("5", (false, true, true)),
            ("6", (false, true, false)),
            ("7", (false, false, true)),
            ("0", (false, false, false)),
            ("8", (false, false, false)),
            ("yes", (false, false, false)),
            ("internal, attach", (true, false, true)),
            ("external", (false, true, false)),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
    }
}
