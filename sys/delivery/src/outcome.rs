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
