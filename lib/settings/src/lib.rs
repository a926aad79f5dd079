//! The registry: every control file and variable, declared once.
//!
//! A [`Setting`] says its names, its type, its default, who reads it and what
//! it means. Parsing, `indimail explain`, `qmail-showctl`, the manual pages
//! and the reference come from it. Values are read by `sys/run`.

pub mod front_ends;
pub mod injecting;
pub mod local;
pub mod mailbox;
pub mod queue;
pub mod receiving;
pub mod reference;
pub mod remote;
pub mod secret;
pub mod sending;
pub mod site;
pub mod supervision;
pub mod users;

/// How the content of a control file is read (queue-and-delivery.md §0.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// First line.
    Line,
    /// First line, else control `me`, else the default.
    LineOrMe,
    /// Leading integer of the first line.
    Integer,
    /// Present or absent; content does not matter.
    Presence,
    /// Every line but blanks and comments.
    List,
    /// As `List`, else the single line of `me`.
    ListOrMe,
    /// The file as it is.
    Native,
}

impl Kind {
    /// For people: what the value is.
    pub fn words(self) -> &'static str {
        match self {
            Self::Line => "one line",
            Self::LineOrMe => "one line; without the file, the name in control/me",
            Self::Integer => "a number",
            Self::Presence => "a switch: on when it is there, whatever it says",
            Self::List => "lines; blank ones and those that begin with # do not count",
            Self::ListOrMe => "lines; without the file, the name in control/me",
            Self::Native => "the whole content",
        }
    }
}

/// One control file, with the variable that overrides it.
#[derive(Debug)]
pub struct Setting {
    /// Name of the control file; empty when there is only a variable.
    pub file: &'static str,
    /// Name of the variable; empty when there is only a file. The variable
    /// wins over the file.
    pub variable: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// What holds when neither is there; `None` means "not set".
    pub default: Option<&'static str>,
    /// Programs that read it.
    pub readers: &'static [&'static str],
    /// One sentence for people.
    pub meaning: &'static str,
}

impl Setting {
    /// The name people know it by: that of the file, else of the variable.
    pub fn name(&self) -> &'static str {
        match self.file {
            "" => self.variable,
            file => file,
        }
    }

    /// Says whether this is its file or its variable.
    pub fn is_called(&self, name: &str) -> bool {
        !name.is_empty() && (self.file == name || self.variable == name)
    }
}

/// The settings whose names look most like a wrong one, best first.
pub fn near(wrong: &str) -> Vec<&'static str> {
    let wrong = wrong.to_ascii_lowercase();
    let mut found: Vec<(usize, &'static str)> = all()
        .flat_map(|setting| {
            let twice = setting.variable.eq_ignore_ascii_case(setting.file);
            [setting.file, if twice { "" } else { setting.variable }]
        })
        .filter(|name| !name.is_empty())
        .map(|name| {
            let known = name.to_ascii_lowercase();
            let part = 3 < wrong.len() && known.contains(&wrong);
            (if part { 1 } else { distance(&wrong, &known) }, name)
        })
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .map(|(_, name)| name)
        .take(NEAR_MAX)
        .collect()
}

/// Most names that are suggested for a wrong one.
const NEAR_MAX: usize = 5;

/// How many bytes must be added, removed or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

/// All settings, in groups of one concern each.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    [
        site::ALL,
        receiving::ALL,
        queue::ALL,
        sending::ALL,
        injecting::ALL,
        front_ends::ALL,
        local::ALL,
        remote::ALL,
        users::ALL,
        mailbox::ALL,
        supervision::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_right_one() {
        assert_eq!(near("tarpitcuont").first(), Some(&"tarpitcount"));
        assert_eq!(near("rcpthost").first(), Some(&"rcpthosts"));
        assert!(near("zzzzzzzzzzzzzzzz").is_empty());
    }

    #[test]
    fn no_name_is_declared_twice() {
        let mut seen = BTreeSet::new();
        for setting in all() {
            assert!(!(setting.file.is_empty() && setting.variable.is_empty()));
            let names = [setting.file, setting.variable];
            for name in names.into_iter().filter(|name| !name.is_empty()) {
                assert!(seen.insert(name), "{name} is declared twice");
            }
            assert!(!setting.readers.is_empty() && setting.meaning.ends_with('.'));
        }
    }
}
