//! What every program answers to `--help`, and how it refuses what it does
//! not know.

use std::ffi::OsStr;
use std::io::Write;

use crate::{Exit, PERMANENT};

/// Prints the text when `--help` is the only argument, and says whether it
/// was: programs whose arguments come from mail must not take a word of many
/// for a question.
pub fn help(text: &str, arguments: &[impl AsRef<OsStr>]) -> bool {
    let [only] = arguments else { return false };
    if only.as_ref() != "--help" {
        return false;
    }
    // Who asked and went away needs no answer.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    true
}

/// Refuses a first argument that looks like a long option, for programs that
/// have none.
pub fn no_options(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<(), Exit> {
    let first = arguments.first().map(AsRef::as_ref).unwrap_or_default();
    let bytes = first.as_encoded_bytes();
    if bytes.starts_with(b"--") && 2 < bytes.len() {
        let shown = first.to_string_lossy();
        let text = format!("unknown option {shown}; see {program} --help");
        return Err(Exit::new(PERMANENT, text));
    }
    Ok(())
}

/// The end of a program that was called in a wrong way: the usage line of its
/// help.
pub fn misused(help: &str) -> Exit {
    let line = help.lines().next().unwrap_or_default();
    Exit::new(PERMANENT, format!("{line} (more with --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_only_argument_or_none() {
        assert!(help("usage: x", &["--help"]));
        assert!(!help("usage: x", &["--help", "example.org"]));
        assert!(!help("usage: x", &[] as &[&str]));
    }

    #[test]
    fn long_options_are_refused_by_name() {
        let error = no_options("except", &["--nonsense"]).unwrap_err();
        assert_eq!(error.text, "unknown option --nonsense; see except --help");
        assert!(no_options("except", &["--", "true"]).is_ok());
        assert!(no_options("except", &["-x"]).is_ok());
    }
}
