//! Which programs can be run from afar, and as whom.

use wire::admin::NUMBERED;

/// As whom a command runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum As {
    /// The owner of virtual mail.
    Owner,
    /// Root: it edits control files. It becomes the owner of mail itself for
    /// everything else.
    Root,
}

/// Commands without a number, for those who need not know any.
const FURTHER: [&str; 2] = ["vapppasswd", "vexport"];

/// Commands that edit control files or `users/assign`.
const OF_ROOT: [&str; 5] = [
    "vadddomain",
    "vdeldomain",
    "vaddaliasdomain",
    "vrenamedomain",
    "vmoddomain",
];

/// Options they may have here: none names a file, a directory or a user.
const LETTERS_OF_ROOT: &str = "vqlRbEferhmCSIHtOcT";

/// As whom to run a command; `None` when it cannot be run from afar.
pub fn find(program: &str) -> Option<As> {
    if OF_ROOT.contains(&program) {
        return Some(As::Root);
    }
    let is_one = NUMBERED.contains(&program) || FURTHER.contains(&program);
    is_one.then_some(As::Owner)
}

/// Says whether root may run a command with these arguments.
pub fn is_harmless(arguments: &[String]) -> bool {
    arguments.iter().all(|argument| {
        match argument.strip_prefix('-') {
            None | Some("" | "-" | "-password-stdin") => true,
            // One letter each: what follows would be its value.
            Some(letter) => letter.len() == 1 && LETTERS_OF_ROOT.contains(letter),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_can_be_run() {
        assert_eq!(find("vadduser"), Some(As::Owner));
        assert_eq!(find("vadddomain"), Some(As::Root));
        for other in ["sh", "../bin/sh", "", "qmail-rm", "indimail", "vimport"] {
            assert_eq!(find(other), None, "{other}");
        }
    }

    #[test]
    fn root_takes_no_option_that_names_a_file() {
        let harmless = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            is_harmless(&words)
        };
        assert!(harmless("-v -q 5000 a.example --password-stdin"));
        assert!(harmless("-l 1 a.example"));
        for line in [
            "-d /etc a.example",
            "-d/etc a.example",
            "-B /etc a.example",
            "-vB /etc a.example",
            "-u root a.example",
            "-i 0 a.example",
            "--password-file /etc/shadow a.example",
            "--password-file=/etc/shadow a.example",
        ] {
            assert!(!harmless(line), "{line}");
        }
    }
}
