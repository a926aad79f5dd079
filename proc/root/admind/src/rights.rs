//! What an administrator may run (virtual-domains.md §15.1, table `vpriv`).

use regex::bytes::RegexBuilder;
use wire::lookup::Rights;

/// Most memory for a regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// How patterns of arguments are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patterns {
    /// A word each, with wildcards; a word that is `*` stands for any number
    /// of arguments.
    Wildcards,
    /// A regular expression for all of them, with one blank between (QREGEX).
    Regexes,
}

/// Says whether an administrator may run a command with these arguments.
pub fn allow(rights: &Rights, patterns: Patterns, program: &str, arguments: &[String]) -> bool {
    let Rights::Some(rights) = rights else {
        return true;
    };
    let of_program = rights.iter().filter(|(of, _)| of == program);
    of_program.into_iter().any(|(_, switches)| {
        switches == "*"
            || match patterns {
                Patterns::Wildcards => {
                    let words: Vec<&str> = switches.split_ascii_whitespace().collect();
                    each_matches(&words, arguments)
                }
                Patterns::Regexes => is_described(switches, arguments),
            }
    })
}

/// Word by word, so that a blank in an argument is never taken for the end of
/// one.
fn each_matches(words: &[&str], arguments: &[String]) -> bool {
    match (words.split_first(), arguments.split_first()) {
        (None, None) => true,
        (Some((&"*", [])), _) => true,
        (Some((&"*", rest)), _) => {
            (0..=arguments.len()).any(|skipped| each_matches(rest, &arguments[skipped..]))
        }
        (Some((word, words)), Some((argument, arguments))) => {
            text::wildmat::matches(word.as_bytes(), argument.as_bytes())
                && each_matches(words, arguments)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The expression has to describe all of them; where blanks could be mistaken,
/// nothing matches.
fn is_described(expression: &str, arguments: &[String]) -> bool {
    if arguments.iter().any(|argument| argument.contains(' ')) {
        return false;
    }
    let compile = |expression: &str| {
        RegexBuilder::new(expression)
            .size_limit(REGEX_BYTES_MAX)
            .case_insensitive(true)
            .build()
    };
    // By itself first: what closes our parenthesis is none.
    compile(expression)
        .and_then(|_| compile(&format!("^(?:{expression})$")))
        .is_ok_and(|regex| regex.is_match(arguments.join(" ").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: Patterns, switches: &str, line: &[&str]) -> bool {
        let rights = Rights::Some(vec![("vadduser".to_owned(), switches.to_owned())]);
        let arguments: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        allow(&rights, patterns, "vadduser", &arguments)
    }

    #[test]
    fn who_may_everything_may_everything() {
        assert!(allow(&Rights::All, Patterns::Wildcards, "vadduser", &[]));
        let none = Rights::Some(Vec::new());
        assert!(!allow(&none, Patterns::Wildcards, "vadduser", &[]));
        assert!(allowed(Patterns::Wildcards, "*", &["-q", "5", "x@y", "z"]));
    }

    #[test]
    fn a_wildcard_ends_with_its_argument() {
        let ours = "*@a.example *";
        let may = |line: &[&str]| allowed(Patterns::Wildcards, ours, line);
        assert!(may(&["joe@a.example", "secret"]));
        assert!(may(&["joe@a.example"]));
        assert!(!may(&["joe@b.example", "x@a.example secret"]));
        assert!(!may(&["joe@b.example", "x@a.example"]));
        assert!(!may(&["-q", "5", "joe@a.example"]));
        let with_options = "-q * *@a.example";
        let may = |line: &[&str]| allowed(Patterns::Wildcards, with_options, line);
        assert!(may(&["-q", "5", "joe@a.example"]));
        assert!(!may(&["-q", "5", "joe@b.example"]));
    }

    #[test]
    fn an_expression_describes_all_arguments() {
        let ours = r"[a-z]+@a\.example \S+";
        let may = |line: &[&str]| allowed(Patterns::Regexes, ours, line);
        assert!(may(&["joe@a.example", "secret"]));
        assert!(!may(&["joe@b.example", "x@a.example", "secret"]));
        assert!(!may(&["joe@a.example", "a b"]));
        assert!(!allowed(Patterns::Regexes, "(", &["joe@a.example"]));
        assert!(!allowed(Patterns::Regexes, "x)|(.*", &["joe@b.example"]));
    }
}
