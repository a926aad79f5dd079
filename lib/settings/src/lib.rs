//! The registry: every control file and variable, declared once.
//!
//! A [`Setting`] says its names, its type, its default, who reads it and what
//! it means. Parsing, `indimail explain`, `qmail-showctl`, the manual pages
//! and the reference come from it. Values are read by `sys/run`.

pub mod injecting;
pub mod local;
pub mod mailbox;
pub mod queue;
pub mod receiving;
pub mod remote;
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

/// All settings, in groups of one concern each.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    [
        site::ALL,
        receiving::ALL,
        queue::ALL,
        sending::ALL,
        injecting::ALL,
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
