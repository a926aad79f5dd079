//! What callers of queue programs are told.

use wire::queue::Reply;

/// As much as is read of what a queue program says.
pub const CUSTOM_BYTES_MAX: usize = 1023;
/// Shortest text that a queue program can give itself.
const CUSTOM_BYTES_MIN: usize = 3;

/// Exit codes that callers make up, and the one whose text the program gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Code {
    /// An address is too long.
    Address = 11,
    /// It takes too long.
    Timeout = 52,
    /// The message or the envelope cannot be read or handed over.
    Read = 54,
    /// There are no pipes.
    Pipe = 60,
    /// Temporary files.
    TemporaryFile = 68,
    /// The connection to the writer fails.
    Connection = 74,
    /// The two sides do not understand each other.
    Bug = 81,
    /// The command of the queue program makes no sense.
    Configuration = 87,
    /// The text is the program's own.
    Custom = 88,
    /// The program cannot be started.
    Exec = 120,
    /// Nobody can say how it ended.
    Wait = 122,
    /// It crashed.
    Crashed = 123,
}

/// The message was not queued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Will it be refused again?
    pub permanent: bool,
    /// Why, for people.
    pub text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refused {
    /// What a code of ours means, and the reason behind it.
    pub fn because(code: Code, reason: impl std::fmt::Display) -> Self {
        Self::from_code(code as u8, reason.to_string().as_bytes())
    }

    /// What an exit code other than 0 means; `said` is what the program wrote
    /// to its error descriptor. Of that the last line that is a verdict is the
    /// text of code 88; behind the text of any other code it is the reason.
    pub fn from_code(code: u8, said: &[u8]) -> Self {
        let verdict = verdict(said).filter(|_| code == Code::Custom as u8);
        let (report, reason) = match verdict {
            Some(verdict) => (verdict, &b""[..]),
            None => (wire::queue::report(code).as_bytes(), said.trim_ascii()),
        };
        let mut text = report.get(1..).unwrap_or_default().to_vec();
        if !reason.is_empty() {
            text.extend_from_slice(b": ");
            text.extend_from_slice(reason);
        }
        Self {
            permanent: report.first() == Some(&b'D'),
            text: text::log::printable(&text, 2 * CUSTOM_BYTES_MAX),
        }
    }

    /// What the persistent writer answers; `Ok` is the answer when it is none
    /// of refusal.
    pub fn from_reply(reply: Reply) -> Result<Reply, Self> {
        match reply {
            Reply::Refused { code, text } => Err(Self::from_code(code, text.as_bytes())),
            queued @ Reply::Queued { .. } => Ok(queued),
        }
    }
}

/// What a queue program that exits 88 says: the last line that begins with D or
/// Z. Other programs that share the descriptor may have said something, too.
pub fn verdict(said: &[u8]) -> Option<&[u8]> {
    said.split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .rfind(|line| line.starts_with(b"D") || line.starts_with(b"Z"))
        .filter(|line| CUSTOM_BYTES_MIN <= line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u8, said: &str) -> (bool, String) {
        let refused = Refused::from_code(code, said.as_bytes());
        (refused.permanent, refused.text)
    }

    #[test]
    fn exit_codes_have_the_texts_of_the_guide() {
        let full = "qq write error or disk full (#4.3.0)".to_owned();
        assert_eq!(refused(53, ""), (false, full));
        assert!(refused(31, "").0 && refused(11, "").0 && !refused(41, "").0);
        let more = refused(62, "qmail-queue: fatal: no such queue\n").1;
        assert!(more.ends_with("(#4.3.0): qmail-queue: fatal: no such queue"));
    }

    #[test]
    fn a_program_may_say_it_in_its_own_words() {
        let odd = (true, "mail looks odd (#5.7.1)".to_owned());
        assert_eq!(refused(88, "Dmail looks odd (#5.7.1)\n"), odd);
        let last = "noise\nZnot yet\nDmail looks odd (#5.7.1)\nmore noise\n";
        assert_eq!(refused(88, last), odd);
        assert_eq!(refused(88, "Dno thanks\x1b\n").1, "no thanks?");
        assert_eq!(
            refused(88, "x"),
            (false, "qq temporary problem (#4.3.0): x".to_owned())
        );
        assert!(!refused(88, "D").0);
    }
}
