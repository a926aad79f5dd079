//! What exit codes of qmail-queue(8) mean to who called it
//! (queue-and-delivery.md §3.1.3).

/// Longest text a queue program may give for code 88.
const CUSTOM_BYTES_MAX: usize = 1023;

/// The message was not queued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Will it be refused again?
    pub permanent: bool,
    /// Why, for the report.
    pub text: String,
}

impl Refused {
    /// A temporary refusal of our own making.
    pub fn temporary(text: impl Into<String>) -> Self {
        Self {
            permanent: false,
            text: text.into(),
        }
    }

    /// What an exit code other than 0 means; `custom` is what the program
    /// wrote to its error descriptor.
    pub fn from_code(code: u8, custom: &[u8]) -> Self {
        if code == 88 && 3 <= custom.len() {
            return Self::custom(custom);
        }
        let text = queue::report(code);
        Self {
            permanent: text.starts_with('D'),
            text: text.get(1..).unwrap_or_default().to_owned(),
        }
    }

    fn custom(text: &[u8]) -> Self {
        let (letter, text) = (text[0], text[1..].trim_ascii());
        Self {
            permanent: letter == b'D',
            text: text::log::printable(text, CUSTOM_BYTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_say_it_in_its_own_words() {
        let refused = Refused::from_code(88, b"Dno thanks\x1b\n");
        assert_eq!((refused.permanent, &refused.text[..]), (true, "no thanks?"));
        let refused = Refused::from_code(88, b"D");
        assert_eq!(refused.text, "qq temporary problem (#4.3.0)");
    }
}
