//! How a delivery ends.

use std::fmt::Display;
use std::io;

/// Exit code "success, but read no further instructions".
pub(crate) const STOP: u8 = 99;

/// Most bytes of output that are kept; lspawn cuts at 3000.
pub(crate) const OUTPUT_BYTES_MAX: usize = 10_000;

/// How a delivery ended: an exit code of qmail-local(8) and what it printed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// 0, 99, 100 or 111.
    pub code: u8,
    /// Lines for the report.
    pub output: Vec<u8>,
}

impl Outcome {
    /// A success without words.
    pub fn success() -> Self {
        Self::default()
    }

    /// A permanent failure and its reason.
    pub fn permanent(text: impl Display) -> Self {
        Self::with(run::PERMANENT, text)
    }

    /// A temporary failure and its reason.
    pub fn temporary(text: impl Display) -> Self {
        Self::with(run::TEMPORARY, text)
    }

    /// A code and one line, whose newline is added.
    pub fn with(code: u8, text: impl Display) -> Self {
        Self {
            code,
            output: format!("{text}\n").into_bytes(),
        }
    }

    /// Puts what was printed before in front.
    pub(crate) fn after(mut self, mut output: Vec<u8>) -> Self {
        output.append(&mut self.output);
        output.truncate(OUTPUT_BYTES_MAX);
        self.output = output;
        self
    }
}

/// A delivery step: goes on, or ends the delivery.
pub(crate) type Step<T = ()> = Result<T, Outcome>;

/// What the system says about an error, without the number Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// The texts of queue-and-delivery.md §6.7; a second line names place and
/// reason.
pub(crate) fn maildir_outcome(error: &maildir::deliver::Error) -> Outcome {
    use maildir::deliver::Error;
    match error {
        Error::Enter { path, source } => Outcome::temporary(format_args!(
            "Unable to chdir to maildir. (#4.2.1)\n{}: {}",
            path.display(),
            reason(source)
        )),
        Error::Read(source) => Outcome::temporary(format_args!(
            "Unable to read message. (#4.3.0)\n{}",
            reason(source)
        )),
        Error::Full(_) => {
            Outcome::permanent("Recipient's mailbox is full, message returned to sender. (#5.2.2)")
        }
        Error::Write { path, source } => Outcome::temporary(format_args!(
            "Temporary error on maildir delivery. (#4.3.0)\n{}: {}",
            path.display(),
            reason(source)
        )),
    }
}
