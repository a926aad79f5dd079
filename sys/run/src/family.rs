//! Families of programs: one binary with many names.
//!
//! The name it was called by says which program it is; under another name the
//! first argument does ([`choose`]). [`Family`] does the rest for programs
//! whose help is a text, too.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use crate::{Exit, PERMANENT, process, usage};

/// A program of a family.
#[derive(Debug)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// Its help without the word `usage:`; the first line is the usage.
    pub usage: &'static str,
    /// What it does with its arguments; the exit code.
    pub run: fn(&[OsString]) -> Result<u8, Exit>,
}

/// All programs of a binary.
#[derive(Debug)]
pub struct Family {
    /// Name of the binary.
    pub name: &'static str,
    /// Its programs.
    pub tools: &'static [Tool],
    /// The exit codes, for those whose usage does not say.
    pub exit_codes: &'static str,
}

/// Finds the program that was called, and leaves its arguments; without one
/// all but the name that was called.
pub fn choose<'t, T>(
    tools: &'t [T],
    name: impl Fn(&T) -> &'static str,
    arguments: &mut Vec<OsString>,
) -> Option<&'t T> {
    let find = |argument: &OsString| {
        let called = Path::new(argument).file_name()?;
        let is_one = |tool: &&T| name(tool).as_bytes() == called.as_bytes();
        tools.iter().find(is_one)
    };
    let called = arguments.first().and_then(find);
    arguments.drain(..arguments.len().min(1));
    if called.is_some() {
        return called;
    }
    let asked = arguments.first().and_then(find)?;
    arguments.remove(0);
    Some(asked)
}

/// Programs of families are for whoever calls them, with the rights of that
/// user and no others.
pub fn refuse_set_uid() -> Result<(), Exit> {
    match os::account::is_set_uid() {
        true => Err(Exit::new(PERMANENT, "refuses to run set-uid or set-gid")),
        false => Ok(()),
    }
}

impl Family {
    /// Runs the program that was called.
    pub fn main(&self) -> ExitCode {
        let mut arguments: Vec<OsString> = std::env::args_os().collect();
        let Some(tool) = choose(self.tools, |tool| tool.name, &mut arguments) else {
            let names: Vec<&str> = self.tools.iter().map(|tool| tool.name).collect();
            let help = format!(
                "usage: {} NAME ARGUMENTS...\n\nNAME is one of {}.\n{}",
                self.name,
                names.join(", "),
                self.exit_codes
            );
            return process(self.name, || match usage::help(&help, &arguments) {
                true => Ok(()),
                false => Err(usage::misused(&help)),
            });
        };
        process(tool.name, || {
            refuse_set_uid()?;
            if usage::help(&self.help(tool), &arguments) {
                return Ok(0);
            }
            usage::no_options(tool.name, &arguments)?;
            (tool.run)(&arguments)
        })
    }

    /// The end of a program that was called in a wrong way.
    pub fn misused(&self, name: &str) -> Exit {
        let tool = self.tools.iter().find(|tool| tool.name == name);
        usage::misused(&tool.map_or_else(String::new, |tool| self.help(tool)))
    }

    fn help(&self, tool: &Tool) -> String {
        let separator = match tool.usage.contains("Exit codes:") {
            true => return format!("usage: {}", tool.usage),
            false => "\n",
        };
        format!("usage: {}{separator}{}", tool.usage, self.exit_codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family {
        name: "test-tools",
        tools: &[
            Tool {
                name: "one",
                usage: "one A\n\nDoes one thing.",
                run: |_| Ok(1),
            },
            Tool {
                name: "two",
                usage: "two\n\nDoes two.\nExit codes: 2.",
                run: |_| Ok(2),
            },
        ],
        exit_codes: "Exit codes: 0 done.",
    };

    #[test]
    fn the_name_or_the_first_argument_says_which() {
        let choose = |words: &str| {
            let mut words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let tool = super::choose(FAMILY.tools, |tool| tool.name, &mut words);
            (tool.map(|tool| tool.name), words.len())
        };
        assert_eq!(choose("/bin/one a b"), (Some("one"), 2));
        assert_eq!(choose("test-tools two a"), (Some("two"), 1));
        assert_eq!(choose("test-tools /x/one"), (Some("one"), 0));
        assert_eq!(choose("one two"), (Some("one"), 1));
        assert_eq!(choose("test-tools --help"), (None, 1));
        assert_eq!(choose("test-tools"), (None, 0));
    }

    #[test]
    fn each_help_has_exit_codes_once() {
        let help = |at: usize| FAMILY.help(&FAMILY.tools[at]);
        assert!(help(0).ends_with("thing.\nExit codes: 0 done."));
        assert!(help(1).ends_with("two.\nExit codes: 2."));
        assert!(FAMILY.misused("one").text.starts_with("usage: one A"));
    }
}
