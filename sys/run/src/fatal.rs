//! How programs end: an exit code and one line on stderr
//! (queue-and-delivery.md §0.3).

use std::error::Error;
use std::process::ExitCode;

/// Exit code of a permanent failure.
pub const PERMANENT: u8 = 100;
/// Exit code of a temporary failure.
pub const TEMPORARY: u8 = 111;

/// An error that can end a program.
pub trait Fatal: Error {
    /// The documented exit code; temporary unless the error knows better.
    fn exit_code(&self) -> u8 {
        TEMPORARY
    }
}

impl Fatal for crate::SettingError {}
impl Fatal for crate::LinkError {}
impl Fatal for os::account::AccountError {}
impl Fatal for std::io::Error {}

/// A program's end that is said in words: a code and a text for stderr. An
/// empty text prints nothing.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Exit {
    /// Exit code.
    pub code: u8,
    /// What to print after `program: fatal: `.
    pub text: String,
}

impl Exit {
    /// Ends with this code and text.
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl Fatal for Exit {
    fn exit_code(&self) -> u8 {
        self.code
    }
}

/// What `main` is: runs the program; an error becomes one line on stderr
/// (`program: fatal: what: why`) and its exit code, a panic a temporary
/// failure.
pub fn process<E: Fatal, T: Into<ProgramEnd>>(
    program: &'static str,
    body: impl FnOnce() -> Result<T, E>,
) -> ExitCode {
    os::signal::ignore_pipe();
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(end)) => ExitCode::from(end.into().0),
        Ok(Err(error)) => {
            let text = chain(&error);
            if !text.is_empty() {
                crate::fatal(program, &text);
            }
            ExitCode::from(error.exit_code())
        }
        // The panic hook has printed what and where.
        Err(_) => ExitCode::from(TEMPORARY),
    }
}

/// A successful end: 0, or a code the program chose.
#[derive(Clone, Copy, Debug)]
pub struct ProgramEnd(u8);

impl From<()> for ProgramEnd {
    fn from((): ()) -> Self {
        Self(0)
    }
}

impl From<u8> for ProgramEnd {
    fn from(code: u8) -> Self {
        Self(code)
    }
}

/// The error and its causes, `: ` between them.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
